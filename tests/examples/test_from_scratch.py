"""The example that trains from scratch: architecture, optimizer and the user's own parameters in one search."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import sweep

_ROOT = Path(__file__).parents[2]
TRAIN = _ROOT / "examples" / "from_scratch" / "train.py"
SEARCHED = {
    "neuropt.activation",
    "neuropt.dropout",
    "neuropt.use_batchnorm",
    "neuropt.pool_type",
    "neuropt.label_smoothing",
    "neuropt.warmup_share",
    "optimizer.lr",
    "optimizer.weight_decay",
    "optimizer._target_",
    "model.width",
    "model.depth",
    "batch_size",
}


@pytest.mark.slow
def test_a_short_search_beats_the_users_own_configuration(tmp_path: Path) -> None:
    """Seven trials over all that the example names lower the loss by more than a third."""
    done = sweep(tmp_path / "s", "hydra.sweeper.n_trials=7", script=TRAIN)
    assert done.code == 0, done.stderr
    space = {part["name"] for part in done.journal[0]["spec"]["space"]}
    assert space >= SEARCHED
    told = done.told()
    assert {outcome["state"] for outcome in told.values()} <= {"COMPLETE", "PRUNED"}
    assert done.results["best"]["value"] < told[0]["value"] * 2 / 3
