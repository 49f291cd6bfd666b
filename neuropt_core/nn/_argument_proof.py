"""The proof that an argument of a model's factory sets a rate of dropout, and changes nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from neuropt_core.nn.example import close, device_of, kept_generators, run, tensors_in, toy_loss
from neuropt_core.nn.graph import Trace
from neuropt_core.nn.pretrained import FIRST_SEED, seed_generators

_SAME_RATE = 1e-5  # Rates along a ramp are often computed in single precision.
_DRAWS = (0, 1)
# Seeds of the passes in train mode; one draw alone may drop nothing where whole branches are dropped.


@dataclass(frozen=True, slots=True)
class _Seen:
    """One build: what it answers in eval mode, what in train mode draw by draw, and the numbers that modules hold."""

    answer: Sequence[torch.Tensor]
    trained: Sequence[torch.Tensor]
    numbers: Mapping[str, float]


class _Unfit(Exception):
    """A build is not the model with another rate; the text says why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Builds the model again and again, and compares.

    Every build is seeded alike, takes over the weights of `model`, and runs on the example once in eval mode and under
    fixed seeds in train mode. There constants among the weights are shaken first: behind a norm or a layer scale that
    starts at zero nothing that is dropped would show.

    Attributes:
        model: The model as configured; it stays as it is.
        trace: What `graph.trace` found in it, with an example.
        build: Builds it with some arguments set.
        loaded: Names of the parameters whose values were loaded.
        base: What a build without changes shows.
    """

    model: nn.Module
    trace: Trace
    build: Callable[[Mapping[str, float]], nn.Module]
    loaded: frozenset[str]
    base: _Seen
    _known: dict[tuple[tuple[str, float], ...], _Seen] = field(default_factory=dict, repr=False)

    @classmethod
    def begin(
        cls,
        model: nn.Module,
        trace: Trace,
        build: Callable[[Mapping[str, float]], nn.Module],
        loaded: frozenset[str],
    ) -> Proof | str:
        """Returns the proof, or why this model's builds cannot be compared."""
        blank = cls(model, trace, build, loaded, _Seen((), (), {}))
        try:
            first, second = blank._built({}), blank._built({})
        except Exception as error:  # noqa: BLE001 - building and running is the user's code; the reason is kept
            return f"cannot be proved, since a second build fails: {_told(error)}"
        if not _equal(first.trained, second.trained):
            return "cannot be proved, since passes in train mode differ under one seed"
        return cls(model, trace, build, loaded, first)

    def complaint(self, name: str, high: float) -> str:
        """Returns what speaks against searching `name` between 0 and `high`, or ""."""
        try:
            zero, top = self._observe({name: 0.0}), self._observe({name: high})
        except Exception as error:  # noqa: BLE001 - a rate that the model does not bear fails in its own way
            return _told(error)
        return "the model takes it and ignores it" if _equal(zero.trained, top.trained) else ""

    def joint_complaint(self, values: Mapping[str, float]) -> str:
        """Returns what speaks against setting all of `values` at once, or ""."""
        try:
            self._observe(values)
        except Exception as error:  # noqa: BLE001 - as in `complaint`
            return _told(error)
        return ""

    def present(self, name: str, high: float, guess: float | None) -> float | None:
        """Returns the rate at which the configured model is built, or None where that cannot be told.

        A rate is told by setting it: the build must hold the same numbers as the configured one and, in train mode,
        compute the same. Tried are `guess`, what the modules hold, scaled as they scale `high`, zero and `high`.
        """
        try:
            measured = self._measured(self._observe({name: high}), high)
            for value in dict.fromkeys(v for v in (guess, measured, 0.0, high) if v is not None):
                seen = self._observe({name: value})
                if _alike(seen.numbers, self.base.numbers) and close(seen.trained, self.base.trained):
                    return value
        except Exception:  # noqa: BLE001 - a guess may be a rate that the model refuses; then nothing is known
            return None
        return None

    def _measured(self, top: _Seen, high: float) -> float | None:
        """Returns the rate that explains all numbers that `high` has moved, if one does."""
        ratios = [
            high * self.base.numbers[key] / number
            for key, number in top.numbers.items()
            if number and key in self.base.numbers and number != self.base.numbers[key]
        ]
        if not ratios or max(ratios) - min(ratios) > _SAME_RATE:
            return None
        return round(ratios[0], 6)

    def _observe(self, values: Mapping[str, float]) -> _Seen:
        key = tuple(sorted(values.items()))
        if key not in self._known:
            self._known[key] = self._built(values)
        return self._known[key]

    def _built(self, values: Mapping[str, float]) -> _Seen:
        assert self.trace.example is not None  # Whoever begins a proof has seen to it.
        with kept_generators(self.model):
            seed_generators(FIRST_SEED)
            twin = self.build(values)
            self._compare_tensors(twin)
            numbers = _numbers(twin)
            _copy_weights(self.model, twin)
            example = self.trace.example.to(device_of(twin))
            with torch.no_grad():
                answer = tensors_in(run(twin.eval(), example))
            _compare_answers(self.trace.outputs, answer)
            _shake(twin)
            trained: list[torch.Tensor] = []
            for seed in _DRAWS:
                seed_generators(seed)
                outputs = tensors_in(run(twin.train(), example))
                if not trained and any(values.values()):
                    _compare_gradient(twin, outputs)
                trained += [t.detach() for t in outputs]
        return _Seen(answer, trained, numbers)

    def _compare_tensors(self, twin: nn.Module) -> None:
        if _shapes(twin) != _shapes(self.model):
            raise _Unfit("it changes the names or shapes of the model's tensors")
        mine = dict(self.model.named_parameters())
        for name, parameter in twin.named_parameters():
            if name in self.loaded and not torch.equal(parameter, mine[name]):
                raise _Unfit("it changes the weights that are loaded")


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    tensors = (*model.named_parameters(), *model.state_dict().items())
    return {name: tuple(t.shape) for name, t in tensors if isinstance(t, torch.Tensor)}


def _numbers(model: nn.Module) -> dict[str, float]:
    """Returns the plain numbers that modules hold as attributes: rates, and much else that must stay the same."""
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


@torch.no_grad()
def _copy_weights(source: nn.Module, twin: nn.Module) -> None:
    tensors = dict((*source.named_parameters(), *source.named_buffers()))
    for name, tensor in (*twin.named_parameters(), *twin.named_buffers()):
        if name in tensors and tensors[name].shape == tensor.shape:
            tensor.copy_(tensors[name])


@torch.no_grad()
def _shake(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        flat = parameter.flatten()
        if parameter.is_floating_point() and len(flat) and bool((flat == flat[0]).all()):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.1 * noise.to(device=parameter.device, dtype=parameter.dtype))


def _compare_answers(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> None:
    if [t.shape for t in before] != [t.shape for t in after]:
        raise _Unfit("its outputs have other shapes")
    if not close(before, after):
        raise _Unfit("it changes what the model computes in eval mode")


def _compare_gradient(model: nn.Module, outputs: Sequence[torch.Tensor]) -> None:
    if not all(bool(torch.isfinite(t).all()) for t in outputs):
        raise _Unfit("its outputs in train mode are not finite")
    wanted = [p for p in model.parameters() if p.requires_grad]
    if not wanted:
        return
    # The first parameter lies behind everything that can drop something.
    (gradient,) = torch.autograd.grad(toy_loss(outputs), wanted[:1], allow_unused=True)
    if gradient is not None and not bool(torch.isfinite(gradient).all()):
        raise _Unfit("its gradient in train mode is not finite")


def _equal(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def _alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() == other.keys() and all(math.isclose(v, other[k], abs_tol=_SAME_RATE) for k, v in one.items())


def _told(error: BaseException) -> str:
    if isinstance(error, _Unfit):
        return str(error)
    cause = error.__cause__ or error
    return " ".join(f"the model fails with it ({type(cause).__name__}: {cause})".split())[:200]
