"""The scene: the study as every sink is shown it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from neuropt_core.advice import own_configuration
from neuropt_core.sinks.base import Scene
from neuropt_core.space import Categorical, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial

SPACE = SearchSpace((Categorical(name="a", choices=("x", "y"), default="x", has_default=True),))
TRIAL = Trial(0, own_configuration(SPACE))


def _scene(*overrides: str) -> Scene:
    return Scene(StudySpec("s", SPACE), (TRIAL,), 3, Path("/sweep"), "printf '%s\\n'", {0: overrides})


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="ab'\"$`\\! =[]{}*?;&|~#%", min_size=1, max_size=8), min_size=1, max_size=4))
def test_a_shell_gives_the_overrides_back(overrides: list[str]) -> None:
    """The command that reproduces a trial hands each override to the script as it is, whatever is in it."""
    line = _scene(*overrides).reproduce(TRIAL)
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == overrides


def test_single_quotes_stay_readable() -> None:
    """Hydra's quotes are kept as people read them."""
    assert _scene("++neuropt.head=['fc']", "lr=0.1").reproduce(TRIAL).endswith("\"++neuropt.head=['fc']\" lr=0.1")


def test_without_a_score_there_is_no_best() -> None:
    """The baseline is there from the first ask, the best from the first score."""
    assert _scene().best is None
    assert _scene().baseline == TRIAL
