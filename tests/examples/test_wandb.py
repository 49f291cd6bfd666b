"""The example that logs to W&B and knows nothing of neuropt."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import sweep
from wandb_file import read_folder

TRAIN = Path(__file__).parents[2] / "examples" / "wandb" / "train.py"


@pytest.mark.slow
def test_a_script_that_only_logs_is_swept_as_it_is(tmp_path: Path) -> None:
    """Each trial's own run is in the study's group under the trial's name, and its curve is in the journal."""
    assert "neuropt" not in TRAIN.read_text().split('"""', 2)[2], "the script below its docstring knows of neuropt"
    settings = ("n_trials=2", "study_name=digits", "wandb.mode=offline")
    done = sweep(tmp_path / "s", *(f"hydra.sweeper.{setting}" for setting in settings), "epochs=3", script=TRAIN)
    assert done.code == 0, done.stderr
    for number, outcome in done.told().items():
        (run,) = read_folder(done.folder / str(number) / "wandb", 1).values()
        assert (run.fields["run_group"], run.fields["display_name"]) == ("digits", f"trial-00{number}")
        curve = [point["metrics"]["val/loss"] for point in outcome["curve"]]
        assert [row["val/loss"] for row in run.history] == curve
        assert (len(curve), curve[-1]) == (3, outcome["value"])
    assert (done.folder / "report.html").exists()
