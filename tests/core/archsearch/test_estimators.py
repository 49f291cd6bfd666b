"""`ArchSearch.from_model` on estimators in the style of scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuropt_core import ArchSearch
from neuropt_core.errors import ConfigError


def test_a_forest_is_searched_and_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each trial gets a fresh, unfitted forest with its parameters; the user's own, though fitted, stays as it is."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    forest = ensemble.RandomForestClassifier(n_estimators=3, random_state=0).fit([[0.0], [1.0]], [0, 1])
    before = forest.get_params()
    seen: list[Any] = []

    def train(config: dict[str, Any]) -> dict[str, Any]:
        assert not hasattr(config["model"], "estimators_")
        seen.append(config["model"].get_params())
        assert seen[-1]["n_estimators"] == config["n_estimators"]
        return {"score": config["model"].fit([[0.0], [1.0]] * 50, [0, 1] * 50).score([[0.2]], [0])}

    options: dict[str, Any] = {"backend": "none", "minimize": False, "log_path": tmp_path / "search.jsonl"}
    search = ArchSearch.from_model(forest, train, search_space={"n_estimators": (2, 5)}, **options)
    search.run(max_evals=3)
    assert "RandomForestClassifier" in capsys.readouterr().out
    assert forest.get_params() == before
    assert hasattr(forest, "estimators_")
    assert seen[0] == before
    assert {"n_estimators", "max_depth"} <= set(search.best_config or {})
    assert len({str(params) for params in seen}) == 3


def test_what_cannot_be_copied_is_refused_at_once(tmp_path: Path) -> None:
    """An estimator with an argument that cannot be copied, and a class in place of an estimator, are one sentence."""
    ensemble, threading = pytest.importorskip("sklearn.ensemble"), pytest.importorskip("threading")
    forest = ensemble.RandomForestClassifier(random_state=threading.Lock())
    for model, words in ((forest, "cannot be copied"), (ensemble.RandomForestClassifier, "Hand over an instance")):
        with pytest.raises(ConfigError, match=words):
            ArchSearch.from_model(model, lambda config: 1.0, backend="none", log_path=tmp_path / "log.jsonl")
