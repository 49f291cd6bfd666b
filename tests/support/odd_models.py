"""Models that a config can build and that are made as nobody expects."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils import parametrizations, prune


class Plain(nn.Module):
    """Two layers; what the others below do differently is all that there is to them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head = nn.Linear(8, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.a(x).relu())


class TwoTensors(Plain):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.head((self.a(x) + self.a(y)).relu())


class NamedOnly(Plain):
    def forward(self, *, pixels: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.head(self.a(pixels).relu())


class TakesDict(Plain):
    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:  # type: ignore[override]
        return self.head(self.a(batch["x"]))


class Raises(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("not today\nand not tomorrow")


class NoTensor(Plain):
    def forward(self, x: torch.Tensor) -> None:  # type: ignore[override]
        self.head(self.a(x))


class Lengths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn, self.out = nn.Embedding(11, 8), nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(self.words(tokens), lengths, batch_first=True, enforce_sorted=False)
        return self.out(self.rnn(packed)[1][0][-1])


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 4, 3), nn.Linear(4, 1)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.out((self.conv(left) - self.conv(right)).mean((2, 3)).abs())


class RaisingProperties(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    @property
    def image_size(self) -> int:
        raise ValueError("ask later")

    @property
    def weight(self) -> torch.Tensor:
        raise RuntimeError("there is none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


class Delegates(Plain):
    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("a"), name)


class KnowsItself(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.__dict__["me"] = self
        self.a.__dict__["parent"] = self
        self.__dict__["apply"] = self.__dict__["dropout"] = 7


class HoldsItself(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.a.parent = self


class OddNames(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._modules["train"], self._modules["x.y"] = nn.Linear(8, 4), nn.Linear(4, 2)
        self._parameters[" "], self._parameters["none"] = nn.Parameter(torch.zeros(4)), None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._modules["x.y"](self._modules["train"](x) + self._parameters[" "])  # type: ignore[misc, operator]


class Containers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"one": nn.Linear(8, 4), "0": nn.Linear(4, 4)})
        self.table = nn.ParameterDict({"w": nn.Parameter(torch.randn(4, 2))})
        self.rows = nn.ParameterList([nn.Parameter(torch.randn(2, 2)), nn.Parameter(torch.zeros(2))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers["0"](self.layers["one"](x)) @ self.table["w"] @ self.rows[0] + self.rows[1]


class OnlyBuffers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("m", torch.randn(3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) @ self.m


class Uncopyable(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Restless(Plain):
    """Draws from three generators, counts its calls and turns gradients off."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.calls = nn.BatchNorm1d(4), 0
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        self.calls += 1
        torch.set_grad_enabled(self.calls % 2 == 0)
        return self.head(self.norm(self.a(x)) + torch.randn(4) + random.random())


class Clips(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.head.weight.data.clamp_(-0.01, 0.01)
        return super().forward(x)


class Complex(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Parameter(torch.randn(4, 4, dtype=torch.cfloat))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((self.a(x).to(torch.cfloat) @ self.c).abs())


class Integers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(8, 4), nn.Linear(4, 2)
        self.q = nn.Parameter(torch.randint(-9, 9, (4, 4), dtype=torch.int8), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.first(x) @ self.q.to(x.dtype))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.mix, self.out = nn.Embedding(11, 8, max_norm=0.5), nn.Linear(8, 8), nn.Linear(8, 11)
        self.out.weight = self.words.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.mix(ids.new_zeros((), dtype=torch.float32) + self.words.weight[ids]).relu())


def mlp() -> nn.Sequential:
    """Three layers."""
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def changed(change: Callable[[nn.Sequential], object]) -> nn.Module:
    """Returns an `mlp` that `change` was applied to."""
    model = mlp()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own older ways, which checkpoints still use.
        new = change(model)
    return new if isinstance(new, nn.Module) and new is not model[0] else model


def quantised(model: nn.Sequential) -> nn.Module:
    """Returns the model with 8-bit linear layers."""
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear})


def on_meta() -> nn.Module:
    """Three layers without memory."""
    with torch.device("meta"):
        return mlp()


RUN: dict[str, Callable[[], nn.Module]] = {
    "weight norm": lambda: changed(lambda m: parametrizations.weight_norm(m[0])),
    "spectral norm": lambda: changed(lambda m: parametrizations.spectral_norm(m[0])),
    "orthogonal": lambda: changed(lambda m: parametrizations.orthogonal(m[0])),
    "older weight norm": lambda: changed(lambda m: nn.utils.weight_norm(m[0])),
    "older spectral norm": lambda: changed(lambda m: nn.utils.spectral_norm(m[0])),
    "pruned": lambda: changed(lambda m: prune.l1_unstructured(m[0], "weight", 0.5)),
    "tied": Tied,
    "compiled": lambda: torch.compile(mlp(), backend="eager"),  # type: ignore[return-value]
    "compiled inside": lambda: nn.Sequential(torch.compile(mlp(), backend="eager"), nn.Linear(3, 2)),
    "traced by fx": lambda: torch.fx.symbolic_trace(mlp()),
    "two tensors": TwoTensors,
    "keyword only": NamedOnly,
    "lengths": Lengths,
    "two images": Siamese,
    "raising properties": RaisingProperties,
    "delegates": Delegates,
    "knows itself": KnowsItself,
    "odd names": OddNames,
    "containers": Containers,
    "one layer": lambda: nn.Linear(8, 2),
    "deep": lambda: nn.Sequential(*(nn.Linear(4, 4) for _ in range(150))),
    "half": lambda: mlp().half(),
    "bfloat16": lambda: mlp().bfloat16(),
    "double": lambda: mlp().double(),
    "complex": Complex,
    "integers": Integers,
    "no parameters": lambda: nn.Sequential(nn.ReLU()),
    "nothing": nn.Sequential,
    "only buffers": OnlyBuffers,
    "restless": Restless,
    "data parallel": lambda: nn.DataParallel(mlp()),
    "frozen": lambda: mlp().requires_grad_(False),
}
"""Models of which a pass can be made."""

STILL: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(2)), "no values yet"),
    "lazy convolution": (lambda: nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d()), "no values yet"),
    "partly lazy": (lambda: nn.Sequential(nn.Linear(8, 8), nn.LazyLinear(2)), "no values yet"),
    "meta": (on_meta, "no values yet"),
    "quantised": (lambda: changed(quantised), "does not run"),
    "scripted": (lambda: changed(torch.jit.script), "does not run"),
    "dict": (TakesDict, "does not run"),
    "raises": (Raises, "not today"),
    "no tensor": (NoTensor, "does not run"),
    "uncopyable": (Uncopyable, "cannot be copied"),
    "clips": (Clips, "changes its own weights (head.weight)"),
}
"""Models of which no pass can be made, with what the reason says."""
