"""Tests of freezing and of BatchNorm's statistics."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import DepthGroup, depth_groups
from neuropt_core.nn.freeze import (
    STRATEGIES,
    distinct,
    freeze,
    frozen_norms,
    keep_eval,
    recalibrate,
    tracked_norms,
    trained,
    update_statistics,
)
from neuropt_core.nn.graph import trace


def _groups(model: nn.Module) -> tuple[DepthGroup, ...]:
    return depth_groups(model, trace(model), ("fc",))


def _paths(names: frozenset[str]) -> set[str]:
    return {".".join(name.split(".")[:2]) if name.startswith("blocks") else name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("head_only", {"fc"}),
        ("last_blocks", {"fc", "blocks.5"}),
        ("gradual_unfreeze", {"fc", "blocks.5", "blocks.4", "blocks.3"}),
        ("full", {"fc", "stem", "bn", *(f"blocks.{i}" for i in range(6))}),
        ("schedule", {"fc", "stem", "bn", *(f"blocks.{i}" for i in range(6))}),
        ("lp_ft", {"fc", "stem", "bn", *(f"blocks.{i}" for i in range(6))}),
        ("lora", {"fc"}),
    ],
)
def test_what_each_strategy_trains(net: nn.Module, strategy: str, expected: set[str]) -> None:
    """head_only trains the head, last_blocks one block more, gradual_unfreeze a third of the groups, full all."""
    assert _paths(trained(strategy, net, _groups(net), has_head=True)) == expected


def test_norms_and_biases_are_found_by_what_they_are() -> None:
    """norm_and_bias trains norms of any make, all biases and the head, and no matrix, table or token."""

    class RMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(1, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.gamma

    class NormedLinear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 4))
            self.position_bias = nn.Parameter(torch.zeros(3, 4))
            self.q_bias = nn.Parameter(torch.zeros(4))
            self.token = nn.Parameter(torch.zeros(1, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.weight + self.q_bias + self.position_bias.sum(0) + self.token

    weighty = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    model = nn.Sequential(NormedLinear(), RMSNorm(), weighty, nn.LSTM(4, 4), nn.Linear(4, 4))
    model[0].token = nn.Parameter(torch.zeros(1, 2, 4))
    names = trained("norm_and_bias", model, [DepthGroup("4", ("4.weight", "4.bias"))], has_head=True)
    lstm = {"3.bias_ih_l0", "3.bias_hh_l0"}
    assert names == {"0.q_bias", "1.gamma", "2.bias", "4.weight", "4.bias", *lstm}
    assert names - trained("norm_and_bias", model, [], has_head=False) == {"4.weight"}


def test_norms_and_biases_of_a_resnet(net: nn.Module) -> None:
    """In a network with BatchNorm these are the BatchNorms, the convolutions' biases and the head."""
    names = trained("norm_and_bias", net, _groups(net), has_head=True)
    assert {n for n, p in net.named_parameters() if p.ndim == 1} == names - {"fc.weight"}
    assert "fc.weight" in names


def test_resnet18_unfreezes_its_end(models: ModuleType) -> None:
    """The last third of a ResNet-18 is the last three of its nine groups before the head, not the first stage."""
    model = models.resnet18(num_classes=10)
    names = trained("gradual_unfreeze", model, _groups(model), has_head=True)
    assert {name.rsplit(".", 2)[0] for name in names if "layer" in name and "downsample" not in name} == {
        "layer3.1",
        "layer4.0",
        "layer4.1",
    }


@pytest.mark.parametrize("strategy", ["head_only", "last_blocks", "gradual_unfreeze", "norm_and_bias"])
def test_frozen_stays_bit_identical(net: nn.Module, strategy: str) -> None:
    """Ten real training steps under model.train() change no frozen parameter and no buffer of a frozen BatchNorm."""
    names = trained(strategy, net, _groups(net), has_head=True)
    freeze(net, names)
    still = frozen_norms(net)
    keep_eval(still)
    before = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(10):
        net.train()
        loss = net(torch.randn(4, 3, 16, 16)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = net.state_dict()
    live = {path for path, m in net.named_modules() if isinstance(m, nn.BatchNorm2d) and m not in still}
    moving = {key for key in after if key in names or key.rpartition(".")[0] in live}
    for key in after:
        assert torch.equal(before[key], after[key]) == (key not in moving), key


def test_without_the_hook_statistics_drift(net: nn.Module) -> None:
    """requires_grad=False alone does not keep BatchNorm's statistics: this is what keep_eval is for."""
    net.requires_grad_(False)
    before = net.bn.running_mean.clone()
    net.train()
    net(torch.randn(4, 3, 16, 16))
    assert not torch.equal(before, net.bn.running_mean)


def test_hooks_follow_a_copy(net: nn.Module) -> None:
    """A deep copy keeps its own layers in eval mode, not those of the original."""
    keep_eval(tracked_norms(net))
    twin = copy.deepcopy(net).train()
    net.train()
    twin(torch.randn(2, 3, 16, 16))
    assert not twin.bn.training
    assert net.bn.training


def test_parts_called_alone_stay_frozen(net: nn.Module) -> None:
    """Statistics stay also where a loop calls a part of the model and not the whole."""
    keep_eval(tracked_norms(net))
    before = net.blocks[0].bn1.running_mean.clone()
    net.train()
    net.blocks(torch.randn(2, 8, 8, 8))
    assert torch.equal(before, net.blocks[0].bn1.running_mean)


def test_frozen_norms_without_weights() -> None:
    """A BatchNorm without weights of its own is frozen with the block around it."""
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, affine=False)), nn.Linear(3, 2))
    assert frozen_norms(model) == []
    model[0].requires_grad_(False)
    assert frozen_norms(model) == [model[0][1]]


def test_recalibrated_statistics_are_the_mean_since() -> None:
    """After recalibrate the running mean is the plain mean over the batches that follow, whatever went before."""
    norm = nn.BatchNorm1d(2, momentum=0.01)
    norm(torch.randn(50, 2) + 9)
    recalibrate([norm])
    batches = [torch.randn(8, 2) for _ in range(5)]
    for batch in batches:
        norm(batch)
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))


def test_coinciding_strategies_are_merged(net: nn.Module) -> None:
    """A network without embeddings has no arm all_but_embeddings; the kept arms all differ."""
    kept, merged = distinct(net, _groups(net), has_head=True)
    assert merged == {"all_but_embeddings": "trains the same as full"}
    assert kept.pop("schedule") == kept.pop("lp_ft") == kept["full"]
    assert len(set(kept.values())) == len(kept) == 5


def test_a_schedule_needs_something_below_the_head() -> None:
    """Where the head is all there is, unfreezing it in steps is no arm; where norms are missing, norms are none."""
    model = nn.Linear(3, 2, bias=False)
    kept, merged = distinct(model, [DepthGroup("head", ("weight",))], has_head=True)
    assert list(kept) == ["full"]
    assert merged["schedule"] == merged["lp_ft"] == merged["norm_and_bias"] == "trains the same as full"


def test_two_groups_have_one_way_to_unfreeze() -> None:
    """With nothing but a head and one group before it, the schedule is lp_ft with a share; alone it is an arm."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    groups = [DepthGroup("body", ("0.weight", "0.bias")), DepthGroup("1", ("1.weight", "1.bias"))]
    kept, merged = distinct(model, groups, has_head=True)
    assert "lp_ft" in kept
    assert merged["schedule"] == "unfreezes as lp_ft with a share of one half"
    assert "schedule" in distinct(model, groups, has_head=True, strategies=("full", "schedule"))[0]
    model[1].requires_grad_(False)
    assert {"lp_ft", "schedule"} <= distinct(model, groups, has_head=True)[1].keys()


def test_only_the_strategies_asked_for_are_judged(net: nn.Module) -> None:
    """A preset's strategies are kept or merged; the others are not spoken of."""
    kept, merged = distinct(net, _groups(net), has_head=True, strategies=("full", "all_but_embeddings"))
    assert [*kept, *merged] == ["full", "all_but_embeddings"]


def test_embeddings_make_an_arm() -> None:
    """A network with an embedding offers to freeze it."""
    model = nn.Sequential(nn.Embedding(5, 4), *(nn.Linear(4, 4) for _ in range(5)), nn.Linear(4, 2))
    groups = depth_groups(model, trace(model), ("6",))
    kept, _ = distinct(model, groups, has_head=True)
    assert kept["full"] - kept["all_but_embeddings"] == {"0.weight"}


def test_what_the_user_froze_stays_frozen(net: nn.Module) -> None:
    """No strategy trains what the factory had frozen."""
    net.stem.requires_grad_(False)
    groups = _groups(net)
    for strategy in STRATEGIES:
        names = trained(strategy, net, groups, has_head=True)
        assert "stem.weight" not in names
        freeze(net, names)
        assert not net.stem.weight.requires_grad


def test_a_missing_head_is_told(net: nn.Module) -> None:
    """A strategy that needs a head says so, and how to name one."""
    with pytest.raises(ConfigError, match=r"neuropt\.head"):
        trained("head_only", net, _groups(net), has_head=False)
    kept, merged = distinct(net, _groups(net), has_head=False)
    assert list(kept) == ["full", "norm_and_bias"]
    assert merged["schedule"] == merged["head_only"] == "the model has no head of its own"


def test_unknown_strategies(net: nn.Module) -> None:
    """An unknown strategy is refused with the list of those that exist."""
    with pytest.raises(ConfigError, match="last_blocks"):
        trained("most", net, _groups(net), has_head=True)


def test_exact_statistics_are_torchs_own(net: nn.Module) -> None:
    """With all layers moving, the pass gives what torch's update_bn gives, modes and momenta as before."""
    loader = [(torch.randn(4, 3, 8, 8), torch.zeros(4)) for _ in range(3)]
    twin = copy.deepcopy(net)
    torch.optim.swa_utils.update_bn(loader, twin)
    net.blocks[1].eval()
    modes = [module.training for module in net.modules()]
    update_statistics(net, tracked_norms(net), loader)
    assert [module.training for module in net.modules()] == modes
    assert {norm.momentum for norm in tracked_norms(net)} == {0.1}
    for key, value in twin.state_dict().items():
        torch.testing.assert_close(net.state_dict()[key], value, msg=key)
    assert not torch.equal(net.bn.running_mean, torch.zeros(8))


def test_exact_statistics_leave_the_frozen_alone(net: nn.Module) -> None:
    """Frozen layers keep their buffers to the bit and normalise with them, so later layers see what they will see."""
    net.train()
    for _ in range(3):
        net(torch.randn(4, 3, 8, 8) + 1)
    net.stem.requires_grad_(False)
    net.bn.requires_grad_(False)
    still = frozen_norms(net)
    keep_eval(still)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    batches = [torch.randn(4, 3, 8, 8) for _ in range(3)]
    update_statistics(net, [norm for norm in tracked_norms(net) if norm not in still], batches)
    moved = {key for key, value in net.state_dict().items() if not torch.equal(before[key], value)}
    assert moved == {key for key in before if key.startswith("blocks") and "running" in key}
    seen = [net.blocks[0].conv1(torch.relu(net.bn.eval()(net.stem(x)))).mean((0, 2, 3)) for x in batches]
    torch.testing.assert_close(net.blocks[0].bn1.running_mean, torch.stack(seen).mean(0), rtol=1e-4, atol=1e-5)


def test_layers_that_a_pass_does_not_reach_keep_their_statistics(net: nn.Module) -> None:
    """An unused layer is not left at the values of a new one, and neither is any after an empty loader or a fault."""
    net.unused = nn.BatchNorm2d(3)
    for norm in tracked_norms(net):
        norm.running_mean.fill_(5.0)
    update_statistics(net, tracked_norms(net), [torch.randn(2, 3, 8, 8)])
    assert net.unused.running_mean.tolist() == [5.0] * 3
    assert net.bn.running_mean.abs().max() < 5
    before = net.bn.running_mean.clone()
    with pytest.raises(ConfigError, match="one batch or more"):
        update_statistics(net, tracked_norms(net), [])
    with pytest.raises(TypeError):
        update_statistics(net, tracked_norms(net), [{"x": 1}])
    assert torch.equal(net.bn.running_mean, before)
    assert {norm.momentum for norm in tracked_norms(net)} == {0.1}


def test_other_layers_with_statistics_are_left_to_themselves() -> None:
    """InstanceNorm that tracks is no BatchNorm, as for torch; without any there is no pass."""
    model = nn.Sequential(nn.InstanceNorm1d(3, track_running_stats=True))

    def loader() -> list[torch.Tensor]:
        raise AssertionError

    update_statistics(model, tracked_norms(model), (loader() for _ in range(1)))
    assert model[0].num_batches_tracked == 0
