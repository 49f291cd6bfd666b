"""One observed pass: which layers run, in which order, on which shapes, and what runs outside of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import nn

from neuropt_core.nn.activations import activation_kind
from neuropt_core.nn.example import kept_generators, run, shadow, tensors_in
from neuropt_core.nn.functional import FunctionalCalls
from neuropt_core.nn.graph import Trace


@dataclass(frozen=True, slots=True)
class Call:
    """A module's forward, once.

    Attributes:
        path: The module, by its first path.
        start: When it began, counted in begins and ends of all modules.
        end: When it ended.
        before: Shape of its first tensor argument; empty if it had none.
        after: Shape of the tensor that it returned; empty if that was anything else.
        is_output: Whether what it returned is, or is a view of, what the model returned.
    """

    path: str
    start: int
    end: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    is_output: bool = False


@dataclass(frozen=True)
class Flow:
    """The calls of one pass in eval mode, in the order in which they ended.

    Attributes:
        calls: All of them; empty if nothing ran.
        functional: Function -> calls in code instead of layers.
    """

    calls: tuple[Call, ...] = ()
    functional: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def by_path(self) -> Mapping[str, tuple[Call, ...]]:
        """Path -> its calls."""
        found: dict[str, list[Call]] = {}
        for call in self.calls:
            found.setdefault(call.path, []).append(call)
        return {path: tuple(calls) for path, calls in found.items()}

    def regrows(self, call: Call) -> bool:
        """Tells whether maps with more positions than `call` returned appear after it: no summary, then, but a part.

        So it is with the pool of a squeeze-and-excitation, whose result is multiplied with the map that it came from.
        """
        size = positions(call.after)
        return any(
            (other.start > call.end and positions(other.before) > size)
            or (other.end > call.end and positions(other.after) > size)
            for other in self.calls
        )

    def is_squeezed(self, call: Call) -> bool:
        """Tells whether `call` worked on one position between calls that worked on more: in a gate or a condition."""
        if positions(call.before) > 1 or not self.regrows(call):
            return False
        return any(other.start < call.start and positions(other.before) > 1 for other in self.calls)


def positions(shape: tuple[int, ...]) -> int:
    """Returns how many positions a map ``(n, c, *space)`` has; 1 for a vector."""
    return prod(shape[2:])


def observe(model: nn.Module, seen: Trace) -> Flow:
    """Runs a copy of `model` in eval mode on the example of `seen` and notes the calls; without one there are none.

    Gradients are on, since without them torch's transformer layers run fused and call none of their parts. One sample
    serves where the model takes it: in eval mode none depends on the others.
    """
    example = seen.example
    for part in [] if example is None else [example[:1], example] if isinstance(example, torch.Tensor) else [example]:
        try:
            twin = shadow(model).eval()
            watch = _Watch(twin)
            with kept_generators(twin), torch.enable_grad(), watch.functions:
                return watch.flow(tensors_in(run(twin, part)))
        except Exception:  # noqa: BLE001 - a model that runs, but not so, is one of which less is known
            continue
    return Flow()


class _Watch:
    """The hooks on a model that is run once."""

    def __init__(self, model: nn.Module) -> None:
        self.functions = FunctionalCalls()
        self._clock = 0
        self._open: list[tuple[int, tuple[int, ...]]] = []
        self._calls: list[tuple[Call, list[torch.Tensor]]] = []
        for path, module in model.named_modules():
            module.register_forward_pre_hook(self._begin, with_kwargs=True)
            module.register_forward_hook(lambda m, _, out, path=path: self._end(m, path, out), always_call=True)

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.functions.enter(module)
        self._clock += 1
        self._open.append((self._clock, _shape((*args, *kwargs.values()))))

    def _end(self, module: nn.Module, path: str, output: Any) -> None:
        self.functions.leave()
        self._clock += 1
        start, before = self._open.pop()
        # Held until the end, lest the memory of one be given to another; only activations are asked for it.
        after = tuple(output.shape) if isinstance(output, torch.Tensor) else ()
        held = tensors_in(output) if activation_kind(module) else []
        self._calls.append((Call(path, start, self._clock, before, after), held))

    def flow(self, outputs: list[torch.Tensor]) -> Flow:
        """Returns what was seen."""
        final = {t.untyped_storage().data_ptr() for t in outputs}
        calls = [
            Call(c.path, c.start, c.end, c.before, c.after, any(t.untyped_storage().data_ptr() in final for t in held))
            for c, held in self._calls
        ]
        return Flow(tuple(calls), dict(self.functions.counts))


def _shape(value: Any) -> tuple[int, ...]:
    found = tensors_in(value)
    return tuple(found[0].shape) if found else ()
