"""The example for estimators: XGBoost, swept without a line about its arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from sweeps import sweep

SCRIPT = Path(__file__).parents[2] / "examples" / "estimator" / "train.py"


@pytest.mark.slow
def test_the_arguments_of_an_estimator_are_searched(tmp_path: Path) -> None:
    """Trial 0 is the config as it stands, the others set arguments in it, and each has the curve of its rounds."""
    done = sweep(
        tmp_path / "s", "hydra.sweeper.n_trials=4", "hydra.sweeper.pruning.mode=off", "model.n_estimators=20",
        "+model.gamma=interval(0, 1)", script=SCRIPT,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert "Introspected XGBoost estimator XGBClassifier" in done.stdout
    # No role of gradient descent is bound to model.learning_rate, and none is made up under neuropt.
    assert "Bound:" not in done.stdout
    asked = [r["proposal"]["params"] for r in done.journal if r["op"] == "ask"]
    names = set(asked[1])
    assert {"model.learning_rate", "model.max_depth", "model.gamma"} <= names
    assert all(name.startswith("model.") for name in names)
    assert "model.n_estimators" not in names
    written = [yaml.safe_load((done.folder / str(n) / ".hydra" / "overrides.yaml").read_text()) for n in range(4)]
    assert written[0] == ["model.n_estimators=20"]
    assert f"model.learning_rate={asked[1]['model.learning_rate']!r}" in written[1]
    configs = [yaml.safe_load((done.folder / str(n) / ".hydra" / "config.yaml").read_text()) for n in range(4)]
    assert configs[2]["model"]["subsample"] == asked[2]["model.subsample"]
    told = done.told()
    assert len({outcome["value"] for outcome in told.values()}) == 4
    curve = (done.folder / "3" / "neuropt" / "curve.jsonl").read_text().splitlines()
    assert len(curve) == 20
    assert "val_loss" in curve[-1]
