"""Which of a factory's own arguments are offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from apps import dropping
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuropt_core.nn import arguments
from neuropt_core.nn.arguments import Argument
from neuropt_core.nn.inspect import inspect_model
from neuropt_core.profile import ModelProfile
from neuropt_core.space import Float, Parameter


@dataclass
class Maker:
    """A factory around a function; `given` is what a config would hold."""

    make: Callable[..., nn.Module]
    names: Mapping[str, float | None]
    given: Mapping[str, float]
    builds: int = 0

    def arguments(self, model: nn.Module) -> tuple[tuple[Argument, ...], Mapping[str, str]]:
        """Returns `names`, with what is given in place of the defaults."""
        found = (Argument(f"m.{n}", n, self.given.get(n, v), n in self.given) for n, v in self.names.items())
        return tuple(found), {}

    def build(self, values: Mapping[str, float]) -> nn.Module:
        """Calls the function."""
        self.builds += 1
        return self.make(**{**self.given, **{name.removeprefix("m."): value for name, value in values.items()}})


def _profile(make: Callable[..., nn.Module], names: Mapping[str, float | None], **more: object) -> ModelProfile:
    given = more.pop("given", {})
    factory = Maker(make, names, given)  # type: ignore[arg-type]
    return inspect_model(lambda: factory.build({}), target="m", factory=factory, **more)  # type: ignore[arg-type]


def _own(profile: ModelProfile) -> dict[str, Parameter]:
    return {p.name: p for p in profile.offered if p.name.startswith("m.")}


def test_an_argument_takes_the_place_of_surgery() -> None:
    """The rate is searched under the user's key, with the role that a rule of thumb knows, and nowhere else."""
    profile = _profile(dropping.Net, {"dropout": 0.1, "drop_path_rate": 0.0})
    assert _own(profile)["m.dropout"] == Float(
        name="m.dropout",
        low=0.0,
        high=0.5,
        default=0.1,
        has_default=True,
        role="dropout",
        note="the model's own argument",
    )
    assert [p.role for p in profile.offered if "drop" in p.name] == ["dropout", "drop_path"]
    assert "neuropt.dropout" not in [p.name for p in profile.offered]
    assert "neuropt.dropout" in [p.name for p in _profile(dropping.Net, {}).offered]


def test_a_rate_in_a_function_is_seen_too() -> None:
    """No module holds the rate: what two rates compute in train mode under one seed tells them apart."""
    assert _own(_profile(dropping.Functional, {"dropout": 0.2}))["m.dropout"].default == 0.2


def test_other_random_weights_are_no_other_model() -> None:
    """Where an argument only shifts what is drawn, the builds are compared under the same weights."""
    assert _own(_profile(dropping.drifting, {"dropout": 0.1}))["m.dropout"].default == 0.1


def test_the_present_value_is_measured_where_the_signature_is_wrong_or_silent() -> None:
    """A default that the builder overrules is not believed; one that nothing tells is left open."""
    wrong = _profile(dropping.passing, {"dropout": 0.1})
    silent = _profile(dropping.passing, {"dropout": None})
    assert _own(wrong)["m.dropout"].default == _own(silent)["m.dropout"].default == 0.3
    unknown = _own(_profile(dropping.Functional, {"dropout": None}))["m.dropout"]
    assert not unknown.has_default


def test_the_users_own_value_is_inside_the_range() -> None:
    """A rate above the usual range widens it."""
    found = _own(_profile(dropping.Net, {"dropout": 0.1}, given={"dropout": 0.7}))["m.dropout"]
    assert isinstance(found, Float)
    assert (found.high, found.default) == (0.7, 0.7)


def test_what_is_no_rate_of_dropout_is_left_out_with_its_reason(tmp_path: Path) -> None:
    """Ignored, changing the architecture, the answers or the loaded weights: each is found out and named."""
    ignored = _profile(dropping.Ignoring, {"dropout": 0.2, "attention_dropout": 0.1})
    assert list(_own(ignored)) == ["m.dropout"]
    assert ignored.left_out["m.attention_dropout"] == "the model takes it and ignores it"
    assert "names or shapes" in _profile(dropping.stacked, {"dropout": 0.1}).left_out["m.dropout"]
    assert "in eval mode" in _profile(dropping.Leaky, {"dropout": 0.0}).left_out["m.dropout"]
    assert "TypeError" in _profile(dropping.Leaky, {"drop_rate": 0.0}).left_out["m.drop_rate"]
    torch.save(dropping.Net().state_dict(), tmp_path / "net.pt")
    loading = _profile(dropping.loading, {"dropout": 0.1}, given={"path": str(tmp_path / "net.pt"), "dropout": 0.1})
    assert loading.pretrained.verdict
    assert "weights that are loaded" in loading.left_out["m.dropout"]
    assert "neuropt.dropout" in [p.name for p in loading.offered]


def test_one_argument_a_role_and_all_of_them_in_the_wide_space() -> None:
    """The most general name comes first; the further ones of a role are shown by their names."""

    def make(drop: float = 0.1, proj_drop: float = 0.1) -> nn.Module:
        return nn.Sequential(nn.Linear(8, 8), nn.Dropout(proj_drop), nn.Linear(8, 8), nn.Dropout(drop), nn.Linear(8, 3))

    names = {"proj_drop": 0.1, "drop": 0.1}
    standard, wide = _profile(make, names), _profile(make, names, space="wide")
    assert [(p.name, p.role) for p in _own(standard).values()] == [("m.drop", "dropout")]
    assert standard.left_out["other arguments"] == "hydra.sweeper.space=wide looks at m.proj_drop too"
    assert [(p.name, p.role) for p in _own(wide).values()] == [("m.drop", "dropout"), ("m.proj_drop", "")]
    assert "other arguments" not in wide.left_out


def test_arguments_that_do_not_go_together_are_not_offered_together() -> None:
    """A model may bear each rate alone; all are set at once before all are offered."""

    def make(drop: float = 0.1, proj_drop: float = 0.1) -> nn.Module:
        if drop + proj_drop > 0.8:
            raise ValueError("too much")
        return nn.Sequential(nn.Linear(8, 8), nn.Dropout(proj_drop), nn.Linear(8, 8), nn.Dropout(drop), nn.Linear(8, 3))

    profile = _profile(make, {"drop": 0.1, "proj_drop": 0.1}, space="wide")
    assert list(_own(profile)) == ["m.drop"]
    assert "too much" in profile.left_out["m.proj_drop"]


def test_the_seed_knows_no_stochastic_depth_and_neuropts_own_key_wins() -> None:
    """The original's list stays the original's; a rate that the config sets by surgery is left to surgery."""
    names = {"dropout": 0.1, "drop_path_rate": 0.1}
    assert list(_own(_profile(dropping.Net, names, space="seed"))) == ["m.dropout"]
    kept = _profile(dropping.Net, names, current={"dropout": 0.2})
    assert list(_own(kept)) == ["m.drop_path_rate"]
    assert "neuropt.dropout" in kept.left_out["m.dropout"]
    assert "neuropt.dropout" in [p.name for p in kept.offered]


def test_a_slow_or_unrunnable_model_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be proved in time, or at all, is said and not offered."""

    class Odd(nn.Module):
        def __init__(self, dropout: float = 0.1) -> None:
            super().__init__()
            self.layer, self.drop = nn.Linear(4, 4), nn.Dropout(dropout)

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.drop(self.layer(batch["one"] + batch["other"]))

    assert "cannot be proved, since it does not run" in _profile(Odd, {"dropout": 0.1}).left_out["m.dropout"]
    monkeypatch.setattr(arguments, "SLOW_SECONDS", 0.0)
    factory = Maker(dropping.Net, {"dropout": 0.1}, {})
    profile = inspect_model(lambda: factory.build({}), target="m", factory=factory)
    assert "since building the model takes" in profile.left_out["m.dropout"]
    assert factory.builds == 2
    monkeypatch.setattr(arguments, "SLOW_SECONDS", 30.0)
    monkeypatch.setattr(arguments, "BUDGET_SECONDS", 0.0)
    assert "were spent" in _profile(dropping.Net, {"dropout": 0.1}).left_out["m.dropout"]


@settings(max_examples=8, deadline=None)
@given(st.floats(0.01, 0.49), st.floats(0.01, 0.39))
def test_every_rate_is_recovered_from_the_model(dropout: float, path: float) -> None:
    """Whatever a builder hides behind its keyword arguments is what is shown as the present value."""

    def make(**kwargs: float) -> nn.Module:
        return dropping.Net(**{"dropout": dropout, "drop_path_rate": path, **kwargs})  # type: ignore[arg-type]

    found = _own(_profile(make, {"dropout": 0.0, "drop_path_rate": None}))
    assert found["m.dropout"].default == pytest.approx(dropout, abs=1e-5)
    assert found["m.drop_path_rate"].default == pytest.approx(path, abs=1e-5)


def test_a_setting_without_a_place_does_not_overrule_an_argument() -> None:
    """Surgery that finds no layer leaves the rate to the argument, and is named; where the argument adds one, not."""
    kept = _profile(dropping.Net, {"drop_path_rate": 0.0}, current={"drop_path": 0.2})
    assert list(_own(kept)) == ["m.drop_path_rate"]
    assert kept.left_out["neuropt.drop_path"] == "changes nothing: Net has no layer for it"

    class StochasticDepth(nn.Module):
        def __init__(self, p: float) -> None:
            super().__init__()
            self.p = p

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * (torch.rand(len(x), 1) >= self.p) if self.training else x

    def make(drop_path_rate: float = 0.0) -> nn.Module:
        path = StochasticDepth(drop_path_rate) if drop_path_rate else nn.Identity()
        return nn.Sequential(nn.Linear(8, 8), path, nn.Linear(8, 3))

    assert list(_own(_profile(make, {"drop_path_rate": 0.0}))) == ["m.drop_path_rate"]
    added = _profile(make, {"drop_path_rate": 0.0}, current={"drop_path": 0.2})
    assert list(_own(added)) == []
    assert "overrules it wherever it adds layers" in added.left_out["m.drop_path_rate"]
