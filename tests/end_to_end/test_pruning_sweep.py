"""Trials that cannot win are stopped in their jobs, in real sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import Sweep, sweep

CURVES = Path(__file__).parents[1] / "support" / "apps" / "curves.py"


def _sweep(folder: Path, *arguments: str) -> Sweep:
    given = ("hydra.sweeper.introspect=false", "hydra.sweeper.advisor=random", "floor=choice(0.5,3.0)")
    return sweep(folder, *given, *arguments, script=CURVES)


def test_a_hopeless_trial_is_stopped_in_its_job(tmp_path: Path) -> None:
    """Far behind the others a trial is pruned after the grace, told with its curve, its reason, and what was saved."""
    done = _sweep(tmp_path / "s", "hydra.sweeper.n_trials=8")
    assert done.code == 0, done.stderr
    pruned = {n: o for n, o in done.told().items() if o["state"] == "PRUNED"}
    assert pruned
    assert {p["params"]["floor"] for n, p in _asked(done).items() if n in pruned} == {3.0}
    assert all(3 <= len(o["curve"]) < 10 for o in pruned.values())
    reasons = [o["reason"] for o in pruned.values()]
    assert all("is worse than what 75 % of" in reason or "the chance to beat trial 0" in reason for reason in reasons)
    assert [item["reason"] for item in done.results["pruned"]] == reasons
    assert reasons[0] in done.stdout
    assert "Pruning saved about" in done.stdout


def test_off_is_off(tmp_path: Path) -> None:
    """With pruning.mode=off the same trials all run to their ends."""
    done = _sweep(tmp_path / "s", "hydra.sweeper.n_trials=8", "hydra.sweeper.pruning.mode=off")
    assert done.code == 0, done.stderr
    assert {(o["state"], len(o["curve"])) for o in done.told().values()} == {("COMPLETE", 10)}
    assert 3.0 in [p["params"]["floor"] for p in _asked(done).values()]


def test_a_wrong_setting_ends_the_sweep_before_it_begins(tmp_path: Path) -> None:
    """A mode that does not exist is refused in one sentence, and nothing was launched or left."""
    done = _sweep(tmp_path / "s", "hydra.sweeper.pruning.mode=yes")
    assert done.code == 1
    assert "hydra.sweeper.pruning.mode: must be one of auto, guard, off, got" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s" / "neuropt").exists()


@pytest.mark.slow
def test_a_running_job_gets_a_newer_rule(tmp_path: Path) -> None:
    """Of two trials that began together the hopeless, slow one is stopped by what the other one reached meanwhile."""
    done = _sweep(
        tmp_path / "s",
        "hydra/launcher=joblib",
        "hydra.sweeper.max_parallel=2",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.seed=3",
        "slow=2.0",
    )
    assert done.code == 0, done.stderr
    assert _asked(done)[1]["params"] == {"floor": 3.0}
    assert (done.folder / "1" / "neuropt" / "rule.json").exists()
    (first, second) = (done.told()[n] for n in (0, 1))
    assert (first["state"], second["state"]) == ("COMPLETE", "PRUNED")
    assert "the chance to beat trial 0 (0.6) is under 1 %" in second["reason"]


def _asked(done: Sweep) -> dict[int, dict[str, dict[str, float]]]:
    return {r["number"]: r["proposal"] for r in done.journal if r["op"] == "ask"}
