"""The words of the console, apart from the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sink_scenes import Story, falling

from neuropt_core.sinks._lines import outcome_lines


def test_the_summary_tells_what_pruning_saved(tmp_path: Path) -> None:
    """The share of the epochs that were not run is told once something was pruned, and not otherwise."""
    story = Story(tmp_path)
    story.run(0.5, curve=falling(*[0.5] * 10))
    story.run("pruned:behind", curve=falling(*[0.9] * 2))
    assert "Pruning saved about 40 % of the epochs." in outcome_lines(story.scene, "all done")
    unpruned = replace(story.scene, trials=story.scene.trials[:1])
    assert not any("saved" in line for line in outcome_lines(unpruned, "all done"))
