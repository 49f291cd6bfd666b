"""Tests of unfreezing as training goes on."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import depth_groups
from neuropt_core.nn.freeze import tracked_norms
from neuropt_core.nn.graph import trace
from neuropt_core.nn.schedule import ALL_FROM, Unfreezing, probed, reached, stages
from neuropt_core.nn.tuning import Settings, Tuning

ORDER = ["fc", "blocks.5", "blocks.4", "blocks.3", "blocks.2", "blocks.1", "blocks.0", "stem"]


def _part(key: str) -> str:
    """Returns the stage of a tensor of `Net`; the BatchNorm after the stem belongs to the stem."""
    first = key.split(".")[0]
    return ".".join(key.split(".")[:2]) if first == "blocks" else {"bn": "stem"}.get(first, first)


def _free(net: nn.Module) -> set[str]:
    return {_part(name) for name, p in net.named_parameters() if p.requires_grad}


def _scheduled(net: nn.Module, **settings: object) -> Tuning:
    return Tuning(net, Settings(freeze_strategy="schedule", **settings))  # type: ignore[arg-type]


@given(count=st.integers(1, 40), epochs=st.integers(1, 60))
def test_one_more_group_at_equal_shares(count: int, epochs: int) -> None:
    """The head alone trains first, no group is ever frozen again, and all train from half of the training on."""
    seen = [reached(count, epoch / epochs) for epoch in range(epochs)]
    assert seen[0] == 1
    assert seen == sorted(seen)
    assert all((number == count) for epoch, number in enumerate(seen) if 2 * epoch >= epochs)
    # Group k is due at k / (count - 1) of the first half: exact in whole numbers.
    assert seen == [min(count, 1 + 2 * epoch * (count - 1) // epochs) for epoch in range(epochs)]


@given(epochs=st.integers(1, 60), percent=st.integers(1, 99))
def test_the_head_has_its_share(epochs: int, percent: int) -> None:
    """The head alone trains in the epochs that begin before the share is over, and everything in all later ones."""
    seen = [probed(7, epoch / epochs, percent / 100) for epoch in range(epochs)]
    assert seen == [1 if 100 * epoch < percent * epochs else 7 for epoch in range(epochs)]


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_linear_probing_then_everything(net: nn.Module, share: float) -> None:
    """Before the share nothing but the head moves, to the bit; from it on every weight and statistic does."""
    tuning = Tuning(net, Settings(freeze_strategy="lp_ft", lp_ft_share=share, lr_layer_decay=0.9))
    optimizer = torch.optim.AdamW(tuning.param_groups(lr=1e-2, weight_decay=0.1))
    for step in range(20):
        tuning.step(step / 20)
        before = copy.deepcopy(net.state_dict())
        net.train()
        optimizer.zero_grad(set_to_none=False)
        net(torch.randn(4, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        for key, value in net.state_dict().items():
            moves = key.startswith("fc.") or step / 20 >= share
            assert torch.equal(before[key], value) != moves, (step, key)


def test_the_order_is_from_the_head_to_the_stem(net: nn.Module) -> None:
    """One depth group more at a time, each whole, the head first and the stem last."""
    tuning = _scheduled(net)
    opened: list[str] = []
    for step in range(64):
        tuning.step(step / 64)
        new = _free(net) - set(opened)
        assert len(new) <= 1 or not opened
        opened += sorted(new)
        assert all(p.requires_grad == (_part(n) in opened) for n, p in net.named_parameters())
        if step / 64 >= ALL_FROM:
            assert opened == ORDER
    assert opened == ORDER


def test_nothing_moves_before_its_time(net: nn.Module) -> None:
    """In a real loop weights and BatchNorm buffers stay bit-identical until their group is due, and then move."""
    tuning = _scheduled(net)
    optimizer = torch.optim.AdamW(tuning.param_groups(lr=1e-2, weight_decay=0.1))
    for step in range(16):
        tuning.step(step / 16)
        before = copy.deepcopy(net.state_dict())
        net.train()
        optimizer.zero_grad(set_to_none=False)
        net(torch.randn(4, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        due = ORDER[: reached(len(ORDER), step / 16)]
        for key, value in net.state_dict().items():
            assert torch.equal(before[key], value) == (_part(key) not in due), (step, key)


def test_the_optimizers_layout_never_changes(net: nn.Module) -> None:
    """All that will ever train is in the groups from the start, in its depth's rate, and the layout stays."""
    tuning = _scheduled(net, lr_layer_decay=0.75)
    first = tuning.param_groups(lr=0.1, weight_decay=0.01)
    assert sorted(id(p) for group in first for p in group["params"]) == sorted(id(p) for p in net.parameters())
    tuning.step(0.9)
    again = tuning.param_groups(lr=0.1, weight_decay=0.01)
    assert [(g["lr"], [id(p) for p in g["params"]]) for g in first] == [
        (g["lr"], [id(p) for p in g["params"]]) for g in again
    ]
    assert len({g["lr"] for g in first}) == len(ORDER)


def test_an_optimizers_state_goes_on_in_a_new_process(net: nn.Module) -> None:
    """A checkpoint from the middle of the schedule loads into a fresh model, and step() brings that to its place."""
    states = []
    for model in (net, copy.deepcopy(net)):
        tuning = _scheduled(model)
        optimizer = torch.optim.Adam(tuning.param_groups(lr=0.1))
        if states:
            optimizer.load_state_dict(states[0])
        tuning.step(0.3)
        model(torch.randn(2, 3, 8, 8)).sum().backward()
        optimizer.step()
        states.append(optimizer.state_dict())
    assert states[0]["state"].keys() == states[1]["state"].keys()
    assert {float(state["step"]) for state in states[1]["state"].values()} == {2.0}


def test_a_second_call_changes_nothing(net: nn.Module) -> None:
    """step() may come twice, or with less progress than before: what trains goes on training."""
    tuning = _scheduled(net)
    tuning.step(0.25)
    free = _free(net)
    assert 1 < len(free) < len(ORDER)
    for progress in (0.25, 0.0):
        tuning.step(progress)
        assert _free(net) == free


def test_a_schedule_left_alone_stays_where_it_is(net: nn.Module) -> None:
    """Without step() the head trains alone; after the last one all goes on as it was, statistics too."""
    tuning = _scheduled(net)
    assert _free(net) == {"fc"}
    tuning.step(0.1)
    free = _free(net)
    for _ in range(3):
        net.train()
        net(torch.randn(2, 3, 8, 8)).sum().backward()
    assert _free(net) == free
    assert {_part(n) for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d) and m.training} <= free


def test_statistics_move_without_another_call_of_train(net: nn.Module) -> None:
    """A loop that calls model.train() once, before its first epoch, gets moving statistics all the same."""
    tuning = _scheduled(net)
    net.train()
    net(torch.randn(2, 3, 8, 8))
    assert not any(norm.training for norm in tracked_norms(net))
    tuning.step(0.9)
    assert all(norm.training for norm in tracked_norms(net))
    net.eval()
    net(torch.randn(2, 3, 8, 8))
    assert not any(norm.training for norm in tracked_norms(net))


def test_unfreezing_during_evaluation_waits_for_train(net: nn.Module) -> None:
    """In a model that is in eval mode, layers that come free stay in it until model.train()."""
    tuning = _scheduled(net.eval())
    tuning.step(0.9)
    assert not any(norm.training for norm in tracked_norms(net))
    net.train()
    net(torch.randn(2, 3, 8, 8))
    assert all(norm.training for norm in tracked_norms(net))


@pytest.mark.parametrize(("mode", "moving"), [("frozen", 0), ("train", 13), ("recalibrate", 13)])
def test_the_policy_for_statistics_holds_for_what_comes_free(net: nn.Module, mode: str, moving: int) -> None:
    """bn_mode=frozen keeps all statistics for good; recalibrate takes up each layer as it comes free."""
    tuning = _scheduled(net, bn_mode=mode)
    tuning.step(0.9)
    net.train()
    before = [norm.running_mean.clone() for norm in tracked_norms(net)]
    net(torch.randn(4, 3, 8, 8))
    changed = [not torch.equal(a, norm.running_mean) for a, norm in zip(before, tracked_norms(net), strict=True)]
    assert sum(changed) == moving
    assert all((norm.momentum is None) == (mode == "recalibrate") for norm in tracked_norms(net))


def test_what_the_user_froze_never_trains(net: nn.Module) -> None:
    """A tensor that the factory froze is in no stage and in no group, and a group of such takes no share."""
    net.blocks[5].requires_grad_(False)
    tuning = _scheduled(net)
    tuning.step(0.9)
    assert _free(net) == {*ORDER} - {"blocks.5"}
    placed = {id(p) for group in tuning.param_groups(lr=0.1) for p in group["params"]}
    assert not placed & {id(p) for p in net.blocks[5].parameters()}
    groups = depth_groups(net, trace(net), ("fc",))
    assert len(stages(net, groups)) == len(ORDER) - 1


def test_l2sp_pulls_only_at_what_trains(net: nn.Module) -> None:
    """Weights are anchored from the start, and count once they train."""
    tuning = _scheduled(net, l2sp_regularization=True, l2sp_strength=2.0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 1
    assert tuning.penalty().item() == 0
    tuning.step(0.9)
    loaded = sum(p.numel() for n, p in net.named_parameters() if not n.startswith("fc."))
    assert tuning.penalty().item() == pytest.approx(loaded)


def test_a_moved_model_is_still_unfrozen(net: nn.Module) -> None:
    """Tensors put in place of the old, as by a move between devices, are found by name."""
    tuning = _scheduled(net)
    net.stem.weight = nn.Parameter(net.stem.weight.detach().clone(), requires_grad=False)
    tuning.step(0.5)
    assert net.stem.weight.requires_grad


def test_several_processes_are_refused(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """DDP would not sum the gradients of what is unfrozen after it has wrapped the model, so that is not begun."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    for strategy in ("schedule", "lp_ft"):
        with pytest.raises(ConfigError, match=f"of which there are 2, got '{strategy}'"):
            Tuning(copy.deepcopy(net), Settings(freeze_strategy=strategy))
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    assert Unfreezing(net, depth_groups(net, trace(net), ("fc",))).names


def test_processes_that_join_later_are_refused_before_the_first_epoch(
    net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning starts its processes when the tuning is made: the first step is refused, and a finished one is not."""
    for strategy in ("schedule", "lp_ft"):
        tuning = Tuning(copy.deepcopy(net), Settings(freeze_strategy=strategy))
        done = Tuning(copy.deepcopy(net), Settings(freeze_strategy=strategy))
        done.step(0.9)
        with monkeypatch.context() as within:
            within.setattr(torch.distributed, "is_initialized", lambda: True)
            within.setattr(torch.distributed, "get_world_size", lambda: 2)
            with pytest.raises(ConfigError, match=f"of which there are 2, got '{strategy}'"):
                tuning.step(0.0)
            done.step(0.95)
