"""Sweeps over the arguments of the model's own class."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from apps import small_net
from sweeps import Sweep, sweep

APPS = Path(small_net.__file__).parent


def _asked(done: Sweep) -> list[dict[str, float]]:
    return [r["proposal"]["params"] for r in done.journal if r["op"] == "ask"]


def test_a_script_without_neuropt_searches_its_models_arguments(tmp_path: Path) -> None:
    """One name from the config to the results: the trial's override sets it, and the score shows that it arrived."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=3", script=APPS / "plain.py")
    assert done.code == 0, done.stderr
    asked, told = _asked(done), done.told()
    assert asked[0] == {"model.dropout": 0.25, "model.drop_path_rate": 0.0}
    assert told[0]["value"] == 0.25
    for number in (1, 2):
        overrides = yaml.safe_load((done.folder / str(number) / ".hydra" / "overrides.yaml").read_text())
        rate, path = asked[number]["model.dropout"], asked[number]["model.drop_path_rate"]
        assert {f"model.dropout={rate!r}", f"++model.drop_path_rate={path!r}"} <= set(overrides)
        assert not [text for text in overrides if "neuropt" in text]
        assert told[number]["value"] == pytest.approx(rate + 10 * path)
    assert "model.dropout" in (done.folder / "results.yaml").read_text()
    assert "Left out: use_layernorm" not in done.stdout


@pytest.mark.slow
def test_a_fixed_argument_is_not_searched_and_no_surgery_undoes_it(tmp_path: Path) -> None:
    """What the command line fixes stays: neither the argument nor the edit that would overrule it is searched."""
    words = ("+model._target_=dropping.Net", "+calls=[build]", "++model.dropout=0.3", "hydra.sweeper.n_trials=2")
    done = sweep(tmp_path / "s", *words, script=APPS / "nets.py")
    assert done.code == 0, done.stderr
    assert all("dropout" not in name for params in _asked(done) for name in params)
    assert "model.drop_path_rate" in _asked(done)[1]


@pytest.mark.slow
def test_a_rate_behind_an_interpolation_is_searched_at_its_source(tmp_path: Path) -> None:
    """The key that others read too is what moves."""
    done = sweep(tmp_path / "s", "model=reading", "hydra.sweeper.n_trials=2", script=APPS / "plain.py")
    assert done.code == 0, done.stderr
    asked = _asked(done)
    assert (asked[0]["p"], "model.dropout" in asked[0]) == (0.2, False)
    assert done.told()[1]["value"] == pytest.approx(asked[1]["p"] + 10 * asked[1]["model.drop_path_rate"])
