"""Tests of adapters, on real architectures of torchvision, timm and transformers."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn import lora
from neuropt_core.nn.example import tensors_in
from neuropt_core.nn.freeze import tracked_norms
from neuropt_core.nn.graph import trace
from neuropt_core.nn.head import find_head
from neuropt_core.nn.lora import Adapters, find_targets, has_attention
from neuropt_core.nn.tuning import Settings, Tuning

Builders = dict[str, Callable[[], nn.Module]]

NAMES = ["torchvision_vit", "torchvision_swin", "timm_vit", "timm_beit", "bert", "gpt2", "encoder"]


def _targets(model: nn.Module) -> tuple[str, ...]:
    seen = trace(model)
    return find_targets(model, seen, find_head(model, seen))[0]


def _lora(model: nn.Module, **settings: object) -> Tuning:
    return Tuning(model, Settings(freeze_strategy="lora", **settings))  # type: ignore[arg-type]


def _input(model: nn.Module) -> torch.Tensor:
    example = trace(model).example
    assert example is not None
    return example


def _answer(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([t.flatten() for t in tensors_in(model(x))])


def _train(model: nn.Module, tuning: Tuning, x: torch.Tensor, steps: int) -> None:
    optimizer = torch.optim.AdamW(tuning.param_groups(lr=1e-2, weight_decay=0.1))
    for _ in range(steps):
        model.train()
        optimizer.zero_grad()
        sum((t - torch.arange(t.shape[-1])).square().mean() for t in tensors_in(model(x))).backward()
        optimizer.step()
    model.eval()


@pytest.mark.parametrize(
    ("name", "alive", "dead"),
    [
        ("torchvision_vit", {"0", "3"}, {"out_proj"}),
        ("torchvision_swin", {"0", "3"}, {"qkv", "proj"}),
        ("timm_vit", {"qkv", "proj", "fc1", "fc2"}, set()),
        ("timm_beit", {"proj", "fc1", "fc2"}, {"qkv"}),
        ("bert", {"query", "key", "value", "dense"}, set()),
        ("gpt2", {"c_attn", "c_proj", "c_fc"}, set()),
        ("encoder", {"linear1", "linear2"}, {"out_proj"}),
    ],
)
def test_dead_layers_are_dropped(transformers_small: Builders, name: str, alive: set[str], dead: set[str]) -> None:
    """Layers of the blocks used by their weight alone get no adapter, the others do; neither head nor stem does."""
    model = transformers_small[name]()
    found = _targets(model)
    assert {path.rpartition(".")[2] for path in found} == alive
    head = find_head(model, trace(model))
    fitting = lora._fitting(model, head, frozenset())
    assert {path.rpartition(".")[2] for path in set(fitting) - set(found)} == dead
    assert not set(head) & set(found)
    assert has_attention(model)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("name", [*NAMES, "net"])
def test_a_life_with_adapters(
    transformers_small: Builders, make_net: Callable[[], nn.Module], name: str, dora: bool
) -> None:
    """Nothing changes at the start; base weights and buffers stay to the bit; all else moves; merging changes nothing.

    In eval mode the adapters count with gradients and without, also where torch has a fast path.
    """
    model = {**transformers_small, "net": make_net}[name]().eval()
    kind, names, x = type(model), [*model.state_dict()], _input(model)
    attributes = set(vars(model))
    before = _answer(model, x)
    tuning = _lora(model, lora_dora=dora, lora_rank=4)
    torch.testing.assert_close(_answer(model, x), before, rtol=0, atol=1e-5)
    assert not any(module.training for module in model.modules())
    start = copy.deepcopy(model.state_dict())
    _train(model, tuning, x, 10)
    for key, value in model.state_dict().items():
        mine = ".lora_" in key or any(key.startswith(f"{path}.") for path in tuning.head)
        assert torch.equal(start[key], value) != mine, key
    after = _answer(model, x)
    assert (after - before).abs().max() > 1e-2
    live = torch.cat([t.flatten() for t in tensors_in(model(x))])
    torch.testing.assert_close(live.detach(), after, rtol=1e-4, atol=1e-5)
    tuning.merge()
    torch.testing.assert_close(_answer(model, x), after, rtol=1e-4, atol=1e-5)
    assert [*model.state_dict()] == names
    assert type(model) is kind
    assert set(vars(model)) == attributes
    fresh = {**transformers_small, "net": make_net}[name]().eval()
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(_answer(fresh, x), after, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*NAMES, "net"])
def test_each_adapter_learns_at_its_layers_rate(
    transformers_small: Builders, make_net: Callable[[], nn.Module], name: str
) -> None:
    """The groups hold what trains, once each; layer decay gives an adapter what full training gives its weight."""
    make = {**transformers_small, "net": make_net}[name]
    whole = make()
    full = Tuning(whole, Settings(lr_layer_decay=0.7)).param_groups(lr=0.1)
    names = {id(p): n for n, p in whole.named_parameters()}
    rates = {names[id(p)]: group["lr"] for group in full for p in group["params"]}
    model = make()
    groups = _lora(model, lr_layer_decay=0.7).param_groups(lr=0.1)
    placed = [(id(p), group["lr"]) for group in groups for p in group["params"]]
    assert len(placed) == len(dict(placed))
    assert dict(placed).keys() == {id(p) for p in model.parameters() if p.requires_grad}
    found = dict(placed)
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            twin = f"{key.partition('.lora_')[0]}.weight" if ".lora_" in key else key
            assert found[id(parameter)] == pytest.approx(rates[twin]), key
    assert len(set(found.values())) > 2


def test_the_rank_sets_the_size_and_not_the_scale(peft: ModuleType, net: nn.Module) -> None:
    """A has as many rows and B as many columns as the rank says; what they add is multiplied by 2 at any rank."""
    for rank in (1, 5):
        model = copy.deepcopy(net)
        _lora(model, lora_rank=rank)
        layer = model.get_submodule("blocks.0.conv1")
        assert isinstance(layer, peft.tuners.lora.Conv2d)
        assert layer.lora_A["default"].weight.shape == (rank, 8, 3, 3)
        assert layer.lora_B["default"].weight.shape == (8, rank, 1, 1)
        assert layer.scaling == {"default": 2.0}


def test_layers_that_no_adapter_fits(peft: ModuleType) -> None:
    """Groups, dilation, other paddings, parametrisations, shared weights, subclasses: none gets an adapter."""

    class Scaled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = nn.Conv2d(4, 4, 3, padding=1)
            self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2)
            self.dilated = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
            self.mirrored = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
            self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
            self.scaled, self.linear = Scaled(4, 4), nn.Linear(4, 4)
            self.twice = nn.Linear(4, 4)
            self.again = self.twice
            self.fc = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.mirrored(self.dilated(self.grouped(self.plain(x)))).mean((2, 3))
            return self.fc(self.again(self.twice(self.linear(self.scaled(self.normed(x))))))

    model = Model()
    assert _targets(model) == ("plain", "linear")
    tuning = _lora(model)
    assert {n.partition(".lora_")[0] for n, p in model.named_parameters() if p.requires_grad} == {
        "plain",
        "linear",
        "fc.weight",
        "fc.bias",
    }
    tuning.merge()


def test_names_that_end_alike_are_told_apart(peft: ModuleType) -> None:
    """A target named 1 is that layer and not every layer whose path ends in .1, as peft would have it."""
    model = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), nn.Linear(4, 4), nn.Linear(4, 2))
    adapters = Adapters(model, ("1",), 2, dora=False)
    assert {name.partition(".lora_")[0] for name in adapters.tensors} == {"1"}
    assert all(p.requires_grad for p in model.parameters())


def test_what_the_user_froze_gets_no_adapter(net: nn.Module, peft: ModuleType) -> None:
    """A frozen layer computes what it did for good."""
    net.blocks[0].requires_grad_(False)
    _lora(net)
    assert not any(p.requires_grad for p in net.blocks[0].parameters())
    assert any(p.requires_grad for p in net.blocks[1].parameters())
    everything = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    everything[0].requires_grad_(False)
    with pytest.raises(ConfigError, match="there is no layer for an adapter"):
        _lora(everything)


def test_fresh_layers_train_in_full(net: nn.Module, peft: ModuleType) -> None:
    """A layer that was not loaded has nothing to add to: it trains itself, wherever it lies."""
    fresh = ("blocks.2.conv1.weight", "fc.weight", "fc.bias")
    _lora(net, fresh=fresh, head=("fc",))
    free = {n for n, p in net.named_parameters() if p.requires_grad}
    assert set(fresh) == {n for n in free if ".lora_" not in n}
    assert not hasattr(net.blocks[2].conv1, "lora_A")


def test_edits_l2sp_and_statistics_go_together(net: nn.Module, peft: ModuleType) -> None:
    """New slopes train, the loaded head is pulled to where it was, and no BatchNorm moves."""
    from neuropt_core.nn.edits import EditPlan

    tuning = _lora(
        net,
        edits=EditPlan(activation="prelu"),
        l2sp_regularization=True,
        l2sp_strength=2.0,
        fresh=(),
        lr_layer_decay=0.9,
    )
    assert all(p.requires_grad for n, p in net.named_parameters() if "act" in n)
    assert "blocks.0.conv1.base_layer.weight" in tuning.pretrained_weights
    assert not any(".lora_" in n or "act" in n for n in tuning.pretrained_weights)
    with torch.no_grad():
        net.fc.weight += 1
    assert tuning.penalty().item() == pytest.approx(net.fc.weight.numel())
    before = [norm.running_mean.clone() for norm in tracked_norms(net)]
    net.train()
    net(torch.randn(4, 3, 8, 8))
    assert all(torch.equal(a, norm.running_mean) for a, norm in zip(before, tracked_norms(net), strict=True))
    tuning.merge()
    assert tuning.penalty().item() == 0
    net.requires_grad_(True)
    assert sum(len(group["params"]) for group in tuning.param_groups(lr=0.1)) == len(list(net.parameters()))


def test_a_checkpoint_goes_on_in_a_new_process(make_net: Callable[[], nn.Module], peft: ModuleType) -> None:
    """A state_dict saved in training loads into a model built with the same settings."""
    model, x = make_net(), torch.randn(2, 3, 8, 8)
    _train(model, _lora(model), x, 3)
    other = make_net()
    _lora(other)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(_answer(other.eval(), x), _answer(model, x))


def test_looking_changes_nothing(net: nn.Module, peft: ModuleType) -> None:
    """The search for targets leaves model, mode and random numbers as they were."""
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    assert _targets(net)
    assert torch.equal(state, torch.get_rng_state())
    assert [*before] == [*net.state_dict()]
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(p.requires_grad for p in net.parameters())
    assert net.training


def test_reasons_for_none(peft: ModuleType) -> None:
    """Adapters that cannot be, or cannot be proved, are refused with the reason."""

    class Needy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.fc = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.fc(self.body(x) * mask)

    with pytest.raises(ConfigError, match=r"cannot be proved, since .*mask"):
        _lora(Needy())

    class ByWeight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.fc = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(nn.functional.linear(x, self.body.weight))

    with pytest.raises(ConfigError, match="no gradient reaches an adapter"):
        _lora(ByWeight())
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    _lora(model)
    with pytest.raises(ConfigError, match="adapters of its own"):
        _lora(model)


def test_without_peft_it_is_told_how_to_get_it(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """The strategy needs an extra, and says which."""
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"pip install 'hydra-neuropt-sweeper\[lora\]'"):
        _lora(net)


def test_attention_is_known_by_name(net: nn.Module) -> None:
    """Convolutions are no attention."""
    assert not has_attention(net)
    assert has_attention(nn.Sequential(nn.MultiheadAttention(4, 2)))
