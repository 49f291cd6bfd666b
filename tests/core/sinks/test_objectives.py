"""How several scores, constraints, cost and importance are shown, in every sink."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import yaml
from sink_scenes import Story, scored

from neuropt_core.objectives import Constraint
from neuropt_core.sinks._lines import outcome_lines, table_rows, trial_parts
from neuropt_core.sinks._wandb_notebook import finish_message, progress_message, study_run
from neuropt_core.sinks._wandb_payload import trial_message
from neuropt_core.sinks.results import results_yaml, trials_csv
from neuropt_core.sinks.text import compare

MS = Constraint.parse("ms <= 20")


def _two(tmp_path: Path, **more: object) -> Story:
    """Two objectives, an error and a throughput: trials 1 and 2 are the front, 2 the balanced one, 3 has no score."""
    story = Story(tmp_path, more={"further": ("maximize",), **more})
    for values in ((0.5, 10.0), (0.1, 11.0), (0.2, 30.0), (0.4, 30.0)):
        story.ask()
        story.tell(scored(*values, ms=values[1]))
    story.run("broken")
    return story


def _texts(story: Story, number: int) -> list[str]:
    return [text for text, _ in trial_parts(story.scene, story.trials[number])]


def test_the_console_shows_every_score(tmp_path: Path) -> None:
    """A trial's line, the table and the last sentences hold all scores and name the front and the balanced one."""
    story = _two(tmp_path)
    assert "0.2 / 30" in _texts(story, 2)
    assert "best (-0.3 / +20 vs trial 0)" in _texts(story, 2)
    assert "on the Pareto front, -0.4 / +1 vs trial 0, -0.1 / -19 vs best of trial 2" in _texts(story, 1)
    lines = outcome_lines(story.scene, "done")
    assert "Best: trial 2 with 0.2 / 30, better in 2 of 2 objectives than your own configuration (0.5 / 10)." in lines
    front = "2 that no trial beats in all objectives: trial 1 (0.1 / 11), trial 2 (0.2 / 30); 2 is the balanced one."
    assert f"Pareto front, {front}" in lines
    assert table_rows(story.scene)[1][1:3] == ("0.2 / 30", "-0.3 / +20")


def test_the_files_hold_every_score(tmp_path: Path) -> None:
    """results.yaml has the whole front, trials.csv a column for each score."""
    story = _two(tmp_path)
    results = yaml.safe_load(results_yaml(story.scene))
    assert results["best_value"] == results["best"]["value"] == results["comparison"]["best_value"] == [0.2, 30.0]
    assert results["comparison"]["baseline_value"] == [0.5, 10.0]
    assert [(p["number"], p["values"]) for p in results["pareto_front"]] == [(1, [0.1, 11.0]), (2, [0.2, 30.0])]
    assert results["study"]["direction"] == ["minimize", "maximize"]
    assert "infeasible" not in results
    rows = list(csv.DictReader(io.StringIO(trials_csv(story.scene))))
    assert [(r["value"], r["value_1"]) for r in rows[2:]] == [("0.2", "30.0"), ("0.4", "30.0"), ("", "")]


def test_wandb_gets_every_score(tmp_path: Path) -> None:
    """The trial's summary, the study's progress and the last table name the second score score_1."""
    story = _two(tmp_path, constraints=(MS,))
    scene, trial = story.scene, story.trials[2]
    summary = trial_message(scene, trial, "p", None)["summary"]
    assert (summary["score"], summary["score_1"], summary["neuropt/breaks"]) == (0.2, 30.0, "ms <= 20 by 10")
    values = progress_message(scene, trial)["values"]
    assert (values["score_1"], values["best"], values["best_1"]) == (30.0, 0.1, 11.0)
    end = finish_message(scene, "done", {})
    assert end["summary"]["pareto_front"] == [1]
    columns, rows = end["table"]["columns"], end["table"]["rows"]
    assert [len(row) for row in rows] == [len(columns)] * 5
    assert rows[4][columns.index("score_1")] is None
    config = study_run(scene, "p", None)["config"]["neuropt"]
    assert (config["direction"], config["constraints"]) == (["minimize", "maximize"], ["ms <= 20"])


def test_who_breaks_a_constraint_is_marked_and_never_on_the_front(tmp_path: Path) -> None:
    """Console and files tell by how much; the best is a trial that keeps the bounds, whatever the others score."""
    story = _two(tmp_path, constraints=(MS,))
    assert "breaks ms <= 20 by 10" in _texts(story, 2)
    assert "breaks ms <= 20 by 10" in table_rows(story.scene)[3][4]
    results = yaml.safe_load(results_yaml(story.scene))
    assert results["infeasible"][0] == {"number": 2, "value": [0.2, 30.0], "breaks": "ms <= 20 by 10"}
    assert [p["number"] for p in results["pareto_front"]] == [1]
    assert results["best"]["number"] == 1
    rows = list(csv.DictReader(io.StringIO(trials_csv(story.scene))))
    assert [r["breaks"] for r in rows] == ["", "", "ms <= 20 by 10", "ms <= 20 by 10", ""]


def test_a_study_in_which_nothing_is_feasible_says_so(tmp_path: Path) -> None:
    """The nearest is shown as the nearest, not as a success; a metric without a value is told apart."""
    story = Story(tmp_path, more={"constraints": (MS,)})
    for ms in (30.0, 25.0, float("nan")):
        story.ask()
        story.tell(scored(0.5, ms=ms))
    assert (
        compare(story.scene).words
        == "nearest to the constraints, none of the trials keeping them: it breaks ms <= 20 by 5"
    )
    assert yaml.safe_load(results_yaml(story.scene))["best"]["breaks"] == "ms <= 20 by 5"
    assert "nearest to the constraints (+0 vs trial 0)" in _texts(story, 1)
    assert "breaks ms <= 20 (nan)" in _texts(story, 2)
    first = Story(tmp_path, more={"constraints": (MS,)})
    first.ask()
    first.tell(scored(0.5, ms=30.0))
    assert any("It breaks ms <= 20 by 10, and no trial keeps" in line for line in outcome_lines(first.scene, "done"))


def test_the_best_within_the_constraints_may_score_worse_than_trial_0(tmp_path: Path) -> None:
    """It is not called better by a negative difference."""
    story = Story(tmp_path, more={"constraints": (MS,)})
    for value, ms in ((0.1, 30.0), (0.4, 10.0)):
        story.ask()
        story.tell(scored(value, ms=ms))
    found = compare(story.scene)
    assert found.words == "within the constraints, while your own configuration breaks ms <= 20 by 10"
    assert found.better


def test_cost_sets_scores_against_seconds(tmp_path: Path) -> None:
    """Who is neither best nor quickest for its score is left out; the gain is per second that the trial ran."""
    story = Story(tmp_path, more={"cost_aware": True})
    for value, seconds in ((0.5, 10.0), (0.1, 40.0), (0.2, 5.0), (0.3, 20.0)):
        story.ask()
        story.tell(scored(value, seconds=seconds))
    results = yaml.safe_load(results_yaml(story.scene))
    assert [(t["number"], t["seconds"]) for t in results["score_against_time"]] == [(2, 5.0), (1, 40.0)]
    assert results["score_against_time"][0]["gained_per_second"] == 0.06
    expected = "Score against time: 0.2 in 5 s (trial 2), 0.1 in 40 s (trial 1)."
    assert expected in outcome_lines(story.scene, "done")
    assert "score_against_time" not in yaml.safe_load(results_yaml(Story(tmp_path).scene))


def test_importance_is_sorted_where_it_is_known(tmp_path: Path) -> None:
    """The files hold all shares, the summary the three greatest."""
    story = Story(tmp_path, importance={"a": 0.1, "b": 0.6, "c": 0.25, "d": 0.05})
    story.run(0.5)
    assert list(yaml.safe_load(results_yaml(story.scene))["importance"]) == ["b", "c", "a", "d"]
    assert "What mattered most: b 60 %, c 25 %, a 10 %." in outcome_lines(story.scene, "done")
    story.importance = {}
    assert "importance" not in yaml.safe_load(results_yaml(story.scene))
    assert not any("mattered" in line for line in outcome_lines(story.scene, "done"))


def test_a_repetition_with_the_same_scores_stands_on_the_front_once(tmp_path: Path) -> None:
    """A second run that gave the very same scores is no further point of the front, in the file and the console."""
    story = Story(tmp_path, more={"further": ("maximize",)})
    story.ask()
    story.tell(scored(0.5, 10.0))
    first = story.ask(params={"optimizer.lr": 0.01})
    story.tell(scored(0.1, 11.0))
    story.ask(params=first.params, source="replicate", parent=first.number)
    story.tell(scored(0.1, 11.0))
    results = yaml.safe_load(results_yaml(story.scene))
    assert [p["number"] for p in results["pareto_front"]] == [first.number]
    assert not any("on the Pareto front" in text for text in _texts(story, 2))
