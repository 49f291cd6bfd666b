"""The average of the weights, over real training steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import torch
from odd_models import Uncopyable
from torch import nn
from torch.nn.utils import parametrizations

from neuropt_core.errors import ConfigError
from neuropt_core.nn.averaging import Average, decay_at
from neuropt_core.nn.edits import EditPlan
from neuropt_core.nn.freeze import tracked_norms
from neuropt_core.nn.tuning import Settings, Tuning

Make = Callable[[], nn.Module]


def _train(model: nn.Module, average: Average, steps: int = 3) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        dtype = list(model.parameters())[-1].dtype
        model(torch.randn(4, 3, 12, 12, dtype=dtype)).square().mean().backward()
        optimizer.step()
        average.update()


def test_it_is_the_closed_form() -> None:
    """One weight under SGD, summed by hand: each value's share is (1 - d) times all later factors."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    average, seen = Average(model, 0.5), []
    for _ in range(12):
        optimizer.zero_grad()
        (model(torch.ones(1, 1)) - 3).square().sum().backward()
        optimizer.step()
        average.update()
        seen.append(model.weight.item())
    # (1 + n) / (10 + n) is below 1/2 up to n = 7, and the first value is the average to begin with.
    factors = [0.0, *((1 + n) / (10 + n) for n in range(1, 8)), *[0.5] * 4]
    total = 0.0
    for i, value in enumerate(seen):
        share = 1 - factors[i]
        for later in factors[i + 1 :]:
            share *= later
        total += share * value
    assert next(average.module.parameters()).item() == pytest.approx(total)
    assert total < seen[-1]


def test_a_short_run_does_not_average_in_its_start() -> None:
    """The factor starts at 0.1, grows with the run and ends at the setting."""
    assert [decay_at(n, 0.999) for n in (0, 1, 80, 890)] == pytest.approx([0.1, 2 / 11, 0.9, 0.99])
    assert decay_at(10**6, 0.999) == 0.999


def test_before_an_update_it_is_the_model(net: nn.Module) -> None:
    """There is no copy until there is something to average."""
    assert Average(net, 0.9).module is net


def test_statistics_are_averaged_and_counts_are_not(net: nn.Module) -> None:
    """BatchNorm's mean and variance follow the weights' rule; the number of batches is the model's."""
    average = Average(net, 0.9)
    seen = []
    for _ in range(3):
        _train(net, average, 1)
        seen.append({name: value.clone() for name, value in net.state_dict().items()})
    found = average.module.state_dict()
    assert list(found) == list(net.state_dict())
    for name, value in found.items():
        if name.endswith("num_batches_tracked"):
            assert value == 3
            continue
        first = seen[0][name] + (1 - 2 / 11) * (seen[1][name] - seen[0][name])
        torch.testing.assert_close(value, first + (1 - 3 / 12) * (seen[2][name] - first))


def test_the_copy_shares_nothing(net: nn.Module) -> None:
    """Training on changes the model alone, evaluating the copy leaves the model's mode and statistics alone."""
    average = Average(net, 0.9)
    _train(net, average)
    twin = average.module
    own = {t.data_ptr() for t in (*net.parameters(), *net.buffers())}
    assert not own & {t.data_ptr() for t in (*twin.parameters(), *twin.buffers())}
    before, state = twin(torch.ones(2, 3, 12, 12)), copy.deepcopy(net.state_dict())
    assert not twin.training
    assert not before.requires_grad
    assert net.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    for parameter in net.parameters():
        parameter.data.add_(1.0)
    assert torch.equal(average.module(torch.ones(2, 3, 12, 12)), before)
    assert average.module is twin


def test_the_model_trains_as_without(make_net: Make) -> None:
    """Averaging changes nothing in the training, bit for bit."""
    finals = []
    for decay in (0.0, 0.99):
        torch.manual_seed(0)
        net = make_net()
        tuning = Tuning(net, Settings(ema_decay=decay))
        optimizer = torch.optim.SGD(tuning.param_groups(lr=0.1), momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.randn(4, 3, 12, 12)).square().mean().backward()
            optimizer.step()
            tuning.update()
            tuning.averaged.eval()(torch.ones(2, 3, 12, 12))
            net.train()
        finals.append(net.state_dict())
    assert all(torch.equal(value, finals[1][name]) for name, value in finals[0].items())


def test_a_frozen_part_stays_where_it_is(net: nn.Module) -> None:
    """Frozen weights and their statistics are the model's to the bit; hooks that keep them act on the copy."""
    tuning = Tuning(net, Settings(freeze_strategy="head_only", ema_decay=0.9))
    average = Average(net, 0.9)
    _train(net, average)
    twin = average.module
    same = [torch.equal(value, twin.state_dict()[name]) for name, value in net.state_dict().items()]
    assert [name for name, equal in zip(net.state_dict(), same, strict=True) if not equal] == ["fc.weight", "fc.bias"]
    twin.train()(torch.ones(2, 3, 12, 12))
    assert all(torch.equal(a, b) for a, b in zip(twin.buffers(), net.buffers(), strict=True))
    assert not any(norm.training for norm in tracked_norms(twin))
    assert tuning.averaged is net


def test_a_frozen_weight_that_the_script_writes_is_followed(net: nn.Module) -> None:
    """What is frozen to the optimizer may be written by hand, as a momentum encoder is: the copy has it as it is."""
    net.stem.requires_grad_(False)
    average = Average(net, 0.9)
    average.update()
    net.stem.weight.data.add_(1.0)
    average.update()
    assert torch.equal(average.module.stem.weight, net.stem.weight)


def test_what_thaws_is_averaged_from_where_it_was_frozen() -> None:
    """A weight that was frozen in the first update starts from its frozen value."""
    model = nn.Linear(1, 1, bias=False).requires_grad_(False)
    start, average = model.weight.item(), Average(model, 0.9)
    average.update()
    model.requires_grad_(True)
    model.weight.data.add_(1.0)
    average.update()
    assert next(average.module.parameters()).item() == pytest.approx(start + 9 / 11)


def test_dropout_in_front_of_the_head_is_the_copys_own(net: nn.Module) -> None:
    """The hook of an edit is copied with its rate and does nothing in eval mode."""
    tuning = Tuning(net, Settings(EditPlan(dropout=0.5), ema_decay=0.9))
    tuning.update()
    (mine,), (its,) = (list(m.fc._forward_pre_hooks.values()) for m in (net, tuning.averaged))
    assert mine is not its
    x = torch.ones(2, 3, 12, 12)
    assert torch.equal(tuning.averaged(x), net.eval()(x))


def test_half_precision_is_averaged_in_single() -> None:
    """Updates of a thousandth, which vanish in bfloat16, add up; the copy answers in the model's own type."""
    model = nn.Linear(4, 4, bias=False, dtype=torch.bfloat16)
    average = Average(model, 0.999)
    average._updates = 10**6  # Far beyond the growth of the window.
    model.weight.data.fill_(1.0)
    average.update()
    model.weight.data.fill_(2.0)
    for _ in range(1000):
        average.update()
    weight = next(average.module.parameters())
    assert weight.dtype is torch.bfloat16
    assert weight.float().mean().item() == pytest.approx(2 - 0.999**1000, abs=0.01)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_it_follows_the_model_to_another_type(net: nn.Module, dtype: torch.dtype) -> None:
    """A model that changes its type after the first update is followed, and its average goes on."""
    average = Average(net, 0.5)
    average.update()
    net.to(dtype)
    twin = average.module
    assert {t.dtype for t in twin.parameters()} == {dtype}
    net.stem.weight.data.add_(1.0)
    before = twin.stem.weight.detach().float().clone()
    average.update()
    moved = average.module.stem.weight.float() - before
    torch.testing.assert_close(moved, torch.full_like(moved, 9 / 11), atol=0.02, rtol=0)
    assert average.module(torch.ones(2, 3, 12, 12, dtype=dtype)).dtype is dtype


def test_the_first_update_sees_the_model_as_it_is_then(net: nn.Module) -> None:
    """A model that is moved before training is copied after that, in its memory format too."""
    average = Average(net, 0.9)
    net.to(memory_format=torch.channels_last).double()
    _train(net, average)
    assert average.module.stem.weight.dtype is torch.float64
    assert average.module.stem.weight.is_contiguous(memory_format=torch.channels_last)


class _Odd(nn.Module):
    """A mask with infinities, a spectral norm, tied weights and a type of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = parametrizations.spectral_norm(nn.Conv2d(3, 5, 3))
        self.one = parametrizations.weight_norm(nn.Linear(5, 5))
        self.two = nn.Linear(5, 5)
        self.tied = nn.Linear(5, 5)
        self.tied.weight = self.two.weight
        self.scale = nn.Parameter(torch.ones(5, dtype=torch.float64))
        self.mask: torch.Tensor
        self.register_buffer("mask", torch.tensor([0.0, 0.0, 0.0, 0.0, -torch.inf]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.tied(self.two(self.one(self.conv(x).mean((2, 3)))))
        return (x + self.mask).softmax(1) * self.scale.to(x.dtype)


def test_buffers_that_have_no_mean_are_the_models() -> None:
    """Infinite masks stay infinite, a spectral norm's vectors keep length 1, ties stay tied."""
    model = _Odd()
    average = Average(model, 0.9)
    _train(model, average, 4)
    twin = average.module
    assert isinstance(twin, _Odd)
    assert torch.equal(twin.mask, model.mask)
    vectors = [b for name, b in twin.named_buffers() if name.endswith(("_u", "_v"))]
    assert [float(v.norm()) for v in vectors] == pytest.approx([1.0, 1.0], abs=1e-5)
    assert twin.tied.weight is twin.two.weight
    assert not torch.equal(twin.two.weight, model.two.weight)
    assert twin(torch.ones(1, 3, 12, 12)).isfinite().all()


def test_evaluating_without_autograd_does_not_stop_it(net: nn.Module) -> None:
    """Asked for within inference_mode, which makes tensors that nothing may write later, the average still goes on."""
    net.stem.requires_grad_(False)
    average = Average(net, 0.9)
    average.update()
    with torch.inference_mode():
        average.module(torch.ones(2, 3, 12, 12))
    net.stem.requires_grad_(True)
    _train(net, average)
    assert not torch.equal(average.module.stem.weight, net.stem.weight)


def test_a_compiled_model_is_averaged_under_its_own_names(net: nn.Module) -> None:
    """What is wrapped around the model afterwards trains the same weights, and the copy is without the wrapper."""
    average = Average(net, 0.9)
    net.compile(backend="eager")
    wrapped = torch.compile(net, backend="eager")
    average.update()
    for parameter in wrapped.parameters():
        parameter.data.add_(1.0)
    average.update()
    assert list(average.module.state_dict()) == list(net.state_dict())
    assert not torch.equal(average.module.fc.weight, net.fc.weight)


def test_what_cannot_be_copied_is_told() -> None:
    """A model that holds a lock cannot be copied; the message says what can be done."""
    with pytest.raises(ConfigError, match=r"ema_decay: needs a model that can be copied"):
        Average(Uncopyable(), 0.9).update()


@pytest.mark.parametrize("grow", [True, False])
def test_a_model_that_changes_is_told(net: nn.Module, grow: bool) -> None:
    """A layer that is added or removed after the first update has no average."""
    average = Average(net, 0.9)
    average.update()
    if grow:
        net.extra = nn.Linear(2, 2)
    else:
        del net.fc
    with pytest.raises(ConfigError, match=r"got '(extra|fc)\.bias, which is new or gone'"):
        average.update()


@pytest.fixture
def one_process(tmp_path: object) -> Iterator[None]:
    """A process group of one."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_a_distributed_model_is_averaged_without_its_wrapper(net: nn.Module) -> None:
    """Trained through DDP, the copy has the names of the model that was built."""
    average = Average(net, 0.9)
    _train(nn.parallel.DistributedDataParallel(net), average)
    assert list(average.module.state_dict()) == list(net.state_dict())
    assert not torch.equal(average.module.fc.weight, net.fc.weight)


@pytest.mark.parametrize("name", ["resnet18", "swin_t"])
@pytest.mark.slow
def test_real_architectures_are_averaged(models: ModuleType, name: str) -> None:
    """Two updates on a network of torchvision leave every tensor between the first and the last."""
    model = getattr(models, name)(num_classes=3)
    average = Average(model, 0.9)
    average.update()
    first = {n: p.detach().clone() for n, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.data.add_(1.0)
    average.update()
    for n, p in average.module.named_parameters():
        torch.testing.assert_close(p, first[n] + 9 / 11)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_the_old_weight_norm_is_averaged() -> None:
    """What such a layer keeps of its last pass does not stand in the way of a copy, which answers with the average."""
    net = nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 2)), nn.ReLU())  # type: ignore[no-untyped-call]
    net(torch.randn(4, 3)).sum().backward()
    average = Average(net, 0.9)
    average.update()
    x = torch.randn(4, 3)
    assert torch.allclose(average.module(x), net(x), atol=1e-6)
