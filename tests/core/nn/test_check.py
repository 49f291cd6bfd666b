"""Tests of the proof that edits work."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest
import torch
from proving import check
from torch import nn

from neuropt_core.nn.check import NOWHERE, Prover
from neuropt_core.nn.edits import EditPlan
from neuropt_core.nn.graph import trace
from neuropt_core.nn.sites import find_sites


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_what_passes_its_check_runs(models: ModuleType, name: str) -> None:
    """Swaps of activation, norm and pool pass on real architectures, which the check leaves as they were."""
    model = getattr(models, name)(num_classes=10)
    seen, before = trace(model), copy.deepcopy(model.state_dict())
    sites = find_sites(model)
    assert check(EditPlan(activation="gelu"), model, seen, (), preserving=False) == ""
    if sites.batchnorms:
        assert check(EditPlan(use_batchnorm=False), model, seen, (), preserving=False) == ""
    if sites.pools:
        assert check(EditPlan(pool_type="max"), model, seen, (), preserving=False) == ""
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert find_sites(model) == sites


def test_a_model_that_breaks_is_refused() -> None:
    """An edit after which the model fails is refused with the model's own complaint."""

    class Nosy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.layer(x)) + self.norm.weight

    complaint = check(EditPlan(use_batchnorm=False), Nosy(), trace(Nosy()), (), preserving=False)
    assert "AttributeError" in complaint
    assert "weight" in complaint


def test_a_changed_function_is_refused_where_it_must_stay(net: nn.Module) -> None:
    """An edit that must preserve the function, and does not, is refused."""
    assert "changes what" in check(EditPlan(pool_type="max"), net, trace(net), ("fc",), preserving=True)


def test_a_head_used_by_its_weight_is_refused() -> None:
    """Dropout in front of a layer whose forward never runs would do nothing, so it is refused."""

    class ByWeight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(self.body(x), self.head.weight)

    assert "only by its weights" in check(
        EditPlan(dropout=0.2), ByWeight(), trace(ByWeight()), ("head",), preserving=True
    )


def _mlp(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), *between, nn.Linear(8, 2))


def _complaint(model: nn.Module, plan: EditPlan, *, preserving: bool = False) -> str:
    return check(plan, model, trace(model), ("h",) if hasattr(model, "h") else (), preserving=preserving)


def test_a_layer_that_is_called_by_another_name_is_refused() -> None:
    """A list of the model's own still holds the old activation, so that the new one would never run."""

    class Lists(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.act, self.h = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)
            self.acts = [self.act]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.h(self.acts[0](self.a(x)))

    assert _complaint(Lists(), EditPlan(activation="gelu")) == "what it puts in is never called"


def test_a_dead_attention_layer_is_refused() -> None:
    """A rate inside a MultiheadAttention of which only the weights are used has no effect."""

    class ByWeight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.h = nn.MultiheadAttention(8, 2), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.h(nn.functional.linear(x, self.mix.in_proj_weight)[..., :8])

    assert _complaint(ByWeight(), EditPlan(mha_dropout=0.1), preserving=True) == "no layer with such a rate is used"


def test_a_rate_that_a_function_reads_is_alive() -> None:
    """A dropout layer that never runs but lends its rate, as in timm's fused attention, passes."""

    class Lender(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.drop, self.h = nn.Linear(8, 8), nn.Dropout(0.0), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.h(nn.functional.dropout(self.a(x), self.drop.p, self.training))

    assert _complaint(Lender(), EditPlan(dropout=0.2), preserving=True) == ""


@pytest.mark.parametrize("brief", [False, True])
def test_an_overwritten_value_is_found_on_the_way_back(brief: bool) -> None:
    """GELU needs its input on the way back: where the model overwrites that, only a look at the way back shows it."""

    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.act, self.h = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            y = self.act(x)
            x.add_(1)
            return self.h(y)

    model = Overwrites()
    prover = Prover(model, trace(model), ())
    assert "inplace" in prover.check(EditPlan(activation="gelu"), preserving=False, brief=brief)


@pytest.mark.parametrize("brief", [False, True])
def test_new_weights_must_get_a_gradient(brief: bool) -> None:
    """A PReLU whose result the model detaches could never learn its slope."""

    class Detaches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.act, self.h = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.h(self.act(self.a(x)).detach() + self.a(x))

    model = Detaches()
    complaint = Prover(model, trace(model), ()).check(EditPlan(activation="prelu"), preserving=False, brief=brief)
    assert complaint == "no gradient reaches act.weight"


def test_outputs_that_are_not_finite_are_refused() -> None:
    """A network that overflows without its norm may not lose it."""
    model = _mlp(nn.BatchNorm1d(8), nn.ELU())
    with torch.no_grad():
        model[0].weight.fill_(1e20)
        model[3].weight.fill_(1e20)
    assert "not finite" in _complaint(model, EditPlan(use_batchnorm=False))


def test_outputs_in_training_keep_their_tree() -> None:
    """An edit that changes what comes out in train mode alone is refused."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.act, self.h = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> object:
            out = self.h(self.act(self.a(x)))
            return (out, out) if self.training and isinstance(self.act, nn.ReLU) else out

    assert "shapes in train mode" in _complaint(Two(), EditPlan(activation="gelu"))


def test_models_that_cannot_be_edited_say_why() -> None:
    """ScriptModules, compiled models and those whose weights have no values yet are not edited."""
    with pytest.warns(DeprecationWarning, match="jit"):
        script = torch.jit.script(_mlp(nn.ReLU()))
    compiled = torch.compile(_mlp(nn.ReLU()), backend="eager")
    seen = trace(_mlp(nn.ReLU()))
    assert "ScriptModule" in Prover(script, seen, ()).check(EditPlan(dropout=0.1), preserving=True)
    assert "compiled" in Prover(compiled, seen, ()).check(EditPlan(activation="gelu"), preserving=False)  # type: ignore[arg-type]
    for model in (nn.Sequential(nn.LazyLinear(4), nn.ReLU()), _mlp(nn.ReLU()).to("meta")):
        assert "no values yet" in _complaint(model, EditPlan(activation="gelu"))


def test_parametrised_and_half_known_models_pass() -> None:
    """Weight and spectral normalisation, and modules whose attributes raise, do not get in the way."""

    class Raises(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = _mlp(nn.ReLU())

        @property
        def dropout(self) -> float:
            raise ValueError("no")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

    model = _mlp(nn.ReLU())
    nn.utils.parametrizations.weight_norm(model[0])
    nn.utils.parametrizations.spectral_norm(model[2])
    for each in (model, Raises()):
        assert _complaint(each, EditPlan(activation="prelu")) == ""
    assert _complaint(model, EditPlan(pool_type="max")) == NOWHERE
