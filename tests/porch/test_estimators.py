"""Which keys of a config set an estimator's arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from apps import forests
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from torch import nn

from hydra_plugins.neuropt_sweeper._estimators import EstimatorNode, build, makes_estimators
from hydra_plugins.neuropt_sweeper._introspect import introspect
from neuropt_core.errors import ConfigError
from neuropt_core.profile import ModelProfile
from neuropt_core.space import When

SVC_NODE = {"_target_": "sklearn.svm.SVC", "C": 1.0}
SCALER = {"_target_": "sklearn.preprocessing.StandardScaler"}


def _profile(
    node: Mapping[str, Any], raw: Mapping[str, object] | None = None, own: Collection[str] = ()
) -> ModelProfile:
    return EstimatorNode(node, "model", raw or {"model": node}, own).profile(build(node), "standard")


def _names(profile: ModelProfile) -> set[str]:
    return {p.name for p in profile.offered}


def test_what_makes_estimators() -> None:
    """A class that follows the protocol does; of a function that is not known, and torch's classes do not."""
    assert makes_estimators(SVC)
    assert not any(map(makes_estimators, (forests.forest, nn.Linear, dict, SVC())))


def test_keys_are_written_under_the_models_node() -> None:
    """What stands in the config and what does not are both set under the model's key, with present values."""
    profile = _profile({"_target_": "sklearn.ensemble.HistGradientBoostingClassifier", "max_iter": 30})
    found = {p.name: p.default for p in profile.offered}
    assert found["model.max_iter"] == 30
    assert found["model.learning_rate"] == 0.1
    assert "model.random_state" in profile.left_out
    assert profile.target == "sklearn.ensemble.HistGradientBoostingClassifier"


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ({"_target_": "sklearn.pipeline.Pipeline", "steps": [["a", SCALER], ["b", SVC_NODE]]}, "model.steps.1.1"),
        ({"_target_": "sklearn.pipeline.make_pipeline", "_args_": [SCALER, SVC_NODE]}, "model._args_.1"),
        ({"_target_": "sklearn.ensemble.BaggingClassifier", "estimator": SVC_NODE}, "model.estimator"),
    ],
    ids=["pipeline", "by position", "nested"],
)
def test_parts_are_found_where_their_nodes_stand(node: Mapping[str, Any], place: str) -> None:
    """The keys of a part lead through lists and nested nodes, and its conditions name the same keys."""
    profile = _profile(node)
    assert {f"{place}.C", f"{place}.kernel", f"{place}.degree"} <= _names(profile)
    degree = next(p for p in profile.offered if p.name == f"{place}.degree")
    assert degree.when == (When(f"{place}.kernel", ("poly",)),)


def test_a_source_is_searched_in_place_of_who_reads_it() -> None:
    """Interpolations are followed to the key that others read too, but for one that the user searches himself."""
    node = {"_target_": "xgboost.XGBClassifier", "learning_rate": 0.2, "max_depth": 4}
    raw = {"model": {**node, "learning_rate": "${rate}", "max_depth": "${depth}"}, "rate": 0.2, "depth": 4}
    names = _names(_profile(node, raw, own=["model.max_depth"]))
    assert {"rate", "model.max_depth"} <= names
    assert not {"model.learning_rate", "depth"} & names


def test_what_no_key_sets_is_left_out() -> None:
    """A factory's argument counts only if the estimator says so after a build with another value."""
    profile = _profile({"_target_": "apps.forests.forest", "max_depth": 4})
    assert _names(profile) == {"model.max_depth"}
    # The factory takes this one, and forgets it.
    assert profile.left_out["model.min_samples_leaf"].startswith("no key below model sets it")


def test_a_partial_of_a_class_is_looked_into() -> None:
    """A node with _partial_ builds what the script will call; a function's is left alone."""
    profile = _profile({"_target_": "sklearn.ensemble.RandomForestClassifier", "_partial_": True})
    assert "model.max_depth" in _names(profile)
    assert not isinstance(build({"_target_": "apps.forests.forest", "_partial_": True}), RandomForestClassifier)


def test_the_child_knows_an_estimator_from_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function's result is looked at before torch is; an estimator that cannot be built is a wrong setting."""
    monkeypatch.syspath_prepend(str(Path(forests.__file__).parent))
    settings: dict[str, Any] = {"where": "model", "space": "standard", "pretrained": None, "current": {}}
    node = {"_target_": "forests.forest"}
    profile = introspect(node, raw={"model": node}, **settings)
    assert profile.estimator is not None
    assert _names(profile) == {"model.max_depth"}
    wrong = {"_target_": "sklearn.svm.SVC", "gama": 1}
    with pytest.raises(ConfigError, match=r"model: cannot be built \(TypeError: .*gama"):
        introspect(wrong, raw={"model": wrong}, **settings)
