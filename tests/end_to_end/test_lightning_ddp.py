"""A trial whose processes Lightning starts, by the script's own command line."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sweeps import BOWL, environment, sweep

SUPPORT = Path(__file__).parents[1] / "support"
SCRIPT = BOWL.with_name("ddp.py")


def _environment() -> dict[str, str]:
    if importlib.util.find_spec("lightning") is None:
        pytest.skip("Lightning is not installed")
    paths = [str(SUPPORT / "torchvision_ops"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_both_processes_stop_and_neither_begins_a_sweep(tmp_path: Path) -> None:
    """The second process runs the job, is told to stop though it logs nothing, and ends without an error."""
    settings = ("hydra.sweeper.n_trials=1", "hydra.sweeper.introspect=false", "lr=choice(0.05,0.1)")
    done = sweep(tmp_path / "s", *settings, script=SCRIPT, env=_environment())
    (outcome,) = done.told().values()
    assert (outcome["state"], outcome["reason"]) == ("PRUNED", "val_loss is nan at step 2"), done.stdout + done.stderr
    assert [point["step"] for point in outcome["curve"]] == [0, 1, 2]
    output = (done.folder / "0" / "neuropt" / "output.log").read_text(encoding="utf-8")
    assert output.count("The trial stops: val_loss is nan at step 2") == 2
    assert "Traceback" not in output


@pytest.mark.slow
def test_what_unfreezes_later_is_refused_in_two_processes(tmp_path: Path) -> None:
    """A strategy that DDP would train wrongly ends the job before its first epoch, though it was built before DDP."""
    given = [sys.executable, str(SCRIPT), "neuropt.freeze_strategy=lp_ft", f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(given, env=environment(**_environment()), capture_output=True, text=True, timeout=240)
    assert done.returncode != 0
    assert "must be one that works in several processes, of which there are 2, got 'lp_ft'" in done.stderr, done.stderr
