"""Tests that any model is looked into and tuned, or refused in a sentence, and stays as it is."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from odd_models import RUN, STILL, Clips, HoldsItself, Lengths, NamedOnly, Restless, Siamese, mlp
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn._call import arguments
from neuropt_core.nn.edits import EditPlan
from neuropt_core.nn.facts import find_facts
from neuropt_core.nn.freeze import STRATEGIES
from neuropt_core.nn.graph import trace
from neuropt_core.nn.inspect import inspect_model
from neuropt_core.nn.tuning import Settings, Tuning
from neuropt_core.profile import ModelProfile
from neuropt_core.reading import STEPPED

MODELS = {**RUN, **{name: make for name, (make, _) in STILL.items()}}
SETTINGS = (
    Settings(),
    *(Settings(freeze_strategy=name) for name in STRATEGIES),
    Settings(lr_layer_decay=0.7),
    Settings(head_lr_mult=3.0),
    Settings(l2sp_regularization=True),
    Settings(bn_mode="frozen"),
    Settings(bn_mode="recalibrate"),
    Settings(EditPlan(dropout=0.3)),
    Settings(EditPlan(activation="gelu")),
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Torch warns of its own older interfaces, and of operations that complex and half numbers lack."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _state(model: nn.Module) -> tuple[Any, ...]:
    def known(tensor: torch.Tensor) -> Any:
        if nn.parameter.is_lazy(tensor) or tensor.is_meta:
            return None
        return tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist(), id(tensor), tensor.requires_grad

    modules = [(n, type(m), m.training, len(m._forward_pre_hooks)) for n, m in model.named_modules()]
    tensors = {n: known(t) for n, t in (*model.named_parameters(), *model.named_buffers())}
    generators = torch.get_rng_state().tolist(), random.getstate(), torch.is_grad_enabled()
    return modules, tensors, generators, getattr(model, "calls", None)


@pytest.mark.parametrize("name", MODELS)
def test_any_model_is_looked_into(name: str) -> None:
    """The groups hold every parameter once, the profile survives JSON and can be printed, pretrained or not."""
    for pretrained in (False, True):
        profile = inspect_model(MODELS[name], target=name, pretrained=pretrained, space="wide")
        names = [n for n, _ in MODELS[name]().named_parameters()]
        assert sum(group.tensors for group in profile.groups) == len(names)
        assert ModelProfile.from_json(json.loads(json.dumps(profile.to_json()))) == profile
        assert "Made of: " in profile.summary()
        assert all(0 <= share <= 1 for share in profile.trainable.values())


@pytest.mark.parametrize("name", MODELS)
def test_any_model_stays_as_it_is(name: str) -> None:
    """A look changes no bit of weights, buffers, modes and hooks, nor the generators or the gradient mode."""
    model = MODELS[name]()
    before = _state(model)
    seen = trace(model)
    find_facts(model, seen, 1)
    assert _state(model) == before


@pytest.mark.parametrize("name", RUN)
def test_what_can_run_is_run(name: str) -> None:
    """An example is found, and costs are known but where an operation is not counted."""
    model = RUN[name]()
    seen = trace(model)
    assert seen.reason == ""
    facts = find_facts(model, seen, 1)
    assert facts.missing == {}
    assert facts.flops is not None


@pytest.mark.parametrize("name", STILL)
def test_what_cannot_run_says_why(name: str) -> None:
    """No edit is offered without a proof, and the reason is told; freezing needs none."""
    make, reason = STILL[name]
    profile = inspect_model(make, target=name, pretrained=True, space="seed")
    assert not {"activation", "dropout"} & {p.role for p in profile.offered}
    assert profile.facts is not None
    assert reason in profile.facts.missing["flops"]
    tunable = not name.endswith(("lazy", "lazy convolution", "quantised"))
    assert ("freeze_strategy" in {p.role for p in profile.offered}) == tunable
    assert tunable or "fine-tuning" in profile.left_out


@pytest.mark.usefixtures("peft")  # One of the settings imports it, and with it torchvision.
@pytest.mark.parametrize("name", MODELS)
def test_any_setting_works_or_is_refused(name: str) -> None:
    """Every helper works under every setting, each trained parameter is in one group; else a sentence says why not."""
    refusals = []
    for settings in SETTINGS:
        model = MODELS[name]()
        try:
            tuning = Tuning(model, settings)
            groups = tuning.param_groups(lr=0.1, weight_decay=0.01)
        except ConfigError as error:
            refusals.append(str(error))
            continue
        placed = [id(p) for group in groups for p in group["params"]]
        later = {id(p) for p in model.parameters()} if settings.freeze_strategy in STEPPED else set()
        assert len(placed) == len(set(placed))
        assert {id(p) for p in model.parameters() if p.requires_grad} <= set(placed) | later
        assert not tuning.penalty().is_complex()
        tuning.step(0.0)
        tuning.step(0.6)
    assert all(refusal.endswith(".") for refusal in refusals)


def test_weights_that_a_pass_clips_are_put_back() -> None:
    """A copy shares the weights' memory, so that a forward which clips them clips the user's; no bit may remain."""
    model = Clips()
    before = model.head.weight.clone()
    assert "changes its own weights (head.weight)" in trace(model).reason
    assert torch.equal(model.head.weight, before)
    embedding = nn.Sequential(nn.Embedding(9, 4, max_norm=0.1), nn.Linear(4, 2))
    before = embedding[0].weight.clone()
    trace(embedding)
    assert torch.equal(embedding[0].weight, before)


def test_a_look_leaves_nothing_global_changed() -> None:
    """A forward that sets the gradient mode, or draws, leaves both as they were after the whole of a look."""
    before = random.getstate(), torch.is_grad_enabled()
    inspect_model(Restless, target="restless", pretrained=True)
    assert (random.getstate(), torch.is_grad_enabled()) == before


def test_what_a_forward_asks_for_is_made_of_the_example() -> None:
    """Lengths are as long as the example, a second image is another one, and a keyword gets its name."""
    ids, image = torch.zeros(2, 16, dtype=torch.long), torch.randn(2, 3, 8, 8)
    args, named = arguments(Lengths(), ids)
    assert args[0] is ids
    assert named["lengths"].tolist() == [16, 16]
    args, named = arguments(Siamese(), image)
    assert torch.equal(named["right"], image.flip(0))
    assert arguments(NamedOnly(), image) == ((), {"pixels": image})


def test_labels_are_not_made_up() -> None:
    """What stands for the task is left out, and Python says what is missing."""

    class Judged(nn.Linear):
        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return super().forward(x)

    reason = trace(Judged(3, 3)).reason
    assert "missing 1 required positional argument: 'labels'" in reason
    assert "neuropt.example" not in reason


def test_modules_within_themselves_are_refused() -> None:
    """Torch's own train() never returns from a module that holds its parent; both doors say so."""
    with pytest.raises(ConfigError, match=r"must not hold a module within itself \(a.parent\)"):
        inspect_model(HoldsItself, target="ring")
    with pytest.raises(ConfigError, match="must not hold a module within itself"):
        Tuning(HoldsItself())


def test_compiled_models_are_not_compiled_for_a_look() -> None:
    """Compiling may take minutes, for a pass or two; what is looked at runs as it was written."""
    compiled: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        compiled.append(1)
        return graph.forward

    model = torch.compile(mlp(), backend=backend)
    inspect_model(lambda: model, target="compiled")  # type: ignore[arg-type, return-value]
    assert compiled == []
    model(torch.randn(2, 8))
    assert compiled == [1]


@pytest.mark.slow
def test_a_thousand_layers_take_seconds() -> None:
    """Time grows with the number of layers and not with its square, and no recursion ends it."""

    def timed(count: int) -> float:
        began = time.process_time()
        profile = inspect_model(
            lambda: nn.Sequential(*(mlp_block() for _ in range(count)), nn.Linear(8, 2)), target="x", pretrained=True
        )
        assert profile.head == (str(count),)
        assert len(profile.groups) == count + 1
        return time.process_time() - began

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.two(self.one(x).relu())

    mlp_block = Residual
    timed(10)
    assert timed(1000) < 50 * max(timed(100), 0.1)  # The square would be a hundred times.
