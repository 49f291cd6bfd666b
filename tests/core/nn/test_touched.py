"""What each setting works on, as told before anything is searched."""

from __future__ import annotations

import copy

from torch import nn

from neuropt_core.nn.edits import EditPlan, apply
from neuropt_core.nn.inspect import inspect_model
from neuropt_core.profile import ModelProfile, Touched


def _found(profile: ModelProfile) -> dict[tuple[str, object], Touched]:
    return {(item.name.removeprefix("neuropt."), item.value): item for item in profile.touched}


def test_an_edit_touches_what_is_told(net: nn.Module) -> None:
    """The layers told of an activation and of BatchNorm are those that the edit replaces, and the model stays whole."""
    before = str(net)
    profile = inspect_model(lambda: copy.deepcopy(net), target="net", pretrained=False, closely=True)
    found = _found(profile)
    gelu = found["activation", "gelu"]
    edited = copy.deepcopy(net)
    assert apply(EditPlan(activation="gelu"), edited, profile.head) == len(gelu.paths)
    assert all(type(edited.get_submodule(path)) is nn.GELU for path in gelu.paths)
    norms = tuple(path for path, m in net.named_modules() if isinstance(m, nn.BatchNorm2d))
    assert found["use_batchnorm", False].paths == norms
    assert str(net) == before


def test_a_strategy_trains_what_is_told(net: nn.Module) -> None:
    """Numbers and layers of each freeze strategy are those of the shares, and every offered setting is told of."""
    profile = inspect_model(lambda: copy.deepcopy(net), target="net", pretrained=True, closely=True)
    found = _found(profile)
    shares = {name: item.parameters for (key, name), item in found.items() if key == "freeze_strategy"}
    assert shares == {name: round(share * profile.parameters) for name, share in profile.trainable.items()}
    assert found["freeze_strategy", "head_only"].paths == profile.head
    assert {p.name for p in profile.offered} == {item.name for item in profile.touched}
    norms = [path for path, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert list(found["bn_mode", None].paths) == norms


def test_it_crosses_the_process_border_and_stays_out_of_studies(net: nn.Module) -> None:
    """Plain data gives the same profile back; what nobody asked for leaves no key in a journal."""
    profile = inspect_model(lambda: copy.deepcopy(net), target="net", pretrained=True, closely=True)
    assert ModelProfile.from_json(profile.to_json()) == profile
    plain = inspect_model(lambda: copy.deepcopy(net), target="net", pretrained=True)
    assert plain.touched == ()
    assert "touched" not in plain.to_json()
