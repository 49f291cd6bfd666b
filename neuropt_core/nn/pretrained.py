"""Whether weights were loaded: the model is built twice under two seeds, and what stays the same was not drawn."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from neuropt_core.errors import IntrospectionError, NeuroptError
from neuropt_core.nn.depth import above
from neuropt_core.nn.evidence import look_for_training
from neuropt_core.nn.example import kept_generators
from neuropt_core.profile import Pretrained

SLOW_SECONDS = 30.0
"""A model that takes longer to build is built once."""

_SAME_TENSORS, _SAME_NUMBERS = 0.2, 0.05
# Below these shares what is the same under two seeds is a deterministic start: position tables, Gabor stems.

FIRST_SEED = 1
"""What the generators are seeded with before the model is built."""

_SEEDS = (FIRST_SEED, 2)
_OFFSET = 7919  # Shifts the seeds that a factory sets for itself; any number that nobody uses as a step would do.


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two builds side by side; tensors that hold one constant say nothing and are left out.

    Attributes:
        same: Names with equal bytes under both seeds.
        fresh: Names that differ.
        numbers: Share of the compared numbers that lie in `same`, in [0, 1].
    """

    same: tuple[str, ...]
    fresh: tuple[str, ...]
    numbers: float

    @property
    def loaded(self) -> bool:
        """True if enough is the same to have been loaded."""
        count = len(self.same) + len(self.fresh)
        return count > 0 and len(self.same) / count >= _SAME_TENSORS and self.numbers >= _SAME_NUMBERS


def judge(
    make: Callable[[], nn.Module],
    *,
    target: str,
    pretrained: bool | None = None,
    slow: float = SLOW_SECONDS,
    live: bool = False,
) -> tuple[nn.Module, Pretrained]:
    """Builds the model and says whether it carries trained weights, and which tensors are fresh.

    Provenance speaks first: built under two seeds (those that the factory sets for itself are shifted), weights that
    stay the same are not random draws. As deterministic starts exist, a load must have been seen too, or the weights
    must look trained. Every random generator is left as it was.

    Args:
        make: Builds the model afresh.
        target: What it is called in messages.
        pretrained: The user's own word, which settles the verdict.
        slow: Seconds of the first build from which there is no second one.
        live: Whether `make` copies a model that is there already: every copy is the same, so its weights alone speak.

    Raises:
        IntrospectionError: The model cannot be built.
    """
    with kept_generators():
        began = time.monotonic()
        with _seen_loads() as loads:
            model = _build(make, target, _SEEDS[0])
        if pretrained is False:
            return model, Pretrained(False, ("hydra.sweeper.pretrained says so",))
        seconds = time.monotonic() - began
        if live:
            return model, _of_copies(model, pretrained)
        if seconds > slow:
            return model, _alone(model, loads, f"built once only, since that took {seconds:.0f} s", pretrained)
        with _shifted_seeds():
            twin = _build(make, target, _SEEDS[1])
    compared = compare(model, twin)
    verdict = _settle(model, compared, loads, pretrained)
    return model, replace(verdict, fresh=_with_constants(model, compared, verdict.fresh))


def compare(one: nn.Module, other: nn.Module) -> Comparison:
    """Compares two builds of one model, tensor by tensor."""
    others = dict(other.named_parameters())
    same, fresh, numbers, total = [], [], 0, 0
    for name, parameter in one.named_parameters():
        if not _speaks(parameter):
            continue
        total += parameter.numel()
        if name in others and _speaks(others[name]) and _digest(parameter) == _digest(others[name]):
            same.append(name)
            numbers += parameter.numel()
        else:
            fresh.append(name)
    return Comparison(tuple(same), tuple(fresh), numbers / total if total else 0.0)


def _with_constants(model: nn.Module, compared: Comparison, fresh: tuple[str, ...]) -> tuple[str, ...]:
    """Adds the constant tensors of fresh layers, which two builds cannot tell apart: zero biases, norms at one.

    Such a tensor follows the innermost module around it that holds others: fresh where all of those are.
    """
    if not fresh:
        return ()
    around: dict[str, bool] = {}
    for name in (*compared.same, *compared.fresh):
        for path in above(name):
            around[path] = around.get(path, True) and name in fresh
    found = set(fresh)
    for name, _ in model.named_parameters():
        if name not in compared.same and name not in found:
            inner = max((path for path in above(name) if path in around), key=len, default="")
            if around.get(inner, False):
                found.add(name)
    return tuple(name for name, _ in model.named_parameters() if name in found)


def _settle(model: nn.Module, compared: Comparison, loads: list[str], said: bool | None) -> Pretrained:
    count = len(compared.same) + len(compared.fresh)
    text = f"{len(compared.same)} of {count} tensors are identical under two seeds"
    if said:
        fresh = compared.fresh if compared.same else ()
        return Pretrained(True, ("hydra.sweeper.pretrained says so", text), fresh=fresh)
    if not compared.loaded:
        return Pretrained(False, (f"{text}: drawn at random", look_for_training(model).variance_text))
    # What was drawn afresh, a large new decoder say, must not thin out what the others show.
    evidence = look_for_training(model, among=compared.same)
    text_loaded = f"{text}: loaded" + (f"; fresh: {_modules(compared.fresh)}" if compared.fresh else "")
    if loads:
        return Pretrained(True, (text_loaded, f"seen: {loads[0]}", *evidence.reasons), fresh=compared.fresh)
    if evidence.trained:
        # Nothing random stays the same under two seeds; only a designed start could be mistaken for training here.
        return Pretrained(True, (text_loaded, *evidence.reasons), certain=evidence.certain, fresh=compared.fresh)
    first, *others = evidence.reasons
    reason = f"{text}, but nothing was seen to load them and {first}: a fixed start"
    return Pretrained(False, (reason, *others), certain=False)


def _alone(model: nn.Module, loads: list[str], reason: str, said: bool | None) -> Pretrained:
    if said:
        return Pretrained(True, ("hydra.sweeper.pretrained says so", reason))
    evidence = look_for_training(model)
    seen = f"seen: {loads[0]}" if loads else "nothing was seen to load weights"
    certain = evidence.certain and evidence.trained == bool(loads)
    return Pretrained(evidence.trained, (reason, seen, *evidence.reasons), certain=certain)


def _of_copies(model: nn.Module, said: bool | None) -> Pretrained:
    if said:
        return Pretrained(True, ("hydra.sweeper.pretrained says so",))
    evidence = look_for_training(model)
    return Pretrained(evidence.trained, evidence.reasons, certain=evidence.certain)


def _modules(tensors: tuple[str, ...]) -> str:
    paths = list(dict.fromkeys(name.rpartition(".")[0] or name for name in tensors))
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _build(make: Callable[[], nn.Module], target: str, seed: int) -> nn.Module:
    seed_generators(seed)
    try:
        model = make()
    except NeuroptError:
        raise  # The caller's own word on what is wrong is better than ours.
    except Exception as error:
        raise IntrospectionError(
            target, f"cannot be built ({type(error).__name__}: {error})", mend="Try it alone: hydra.utils.instantiate."
        ) from error
    if not isinstance(model, nn.Module):
        raise IntrospectionError(target, "must build a torch.nn.Module", got=type(model).__name__)
    return model


def _speaks(p: torch.Tensor) -> bool:
    if isinstance(p, nn.parameter.UninitializedParameter) or p.is_meta or p.numel() < 2:
        return False
    flat = p.detach().flatten()
    return bool((flat != flat[0]).any())


def _digest(p: torch.Tensor) -> bytes:
    raw = p.detach().cpu().contiguous().flatten().view(torch.uint8)
    return hashlib.blake2b(raw.numpy().tobytes(), digest_size=16).digest()


def seed_generators(seed: int) -> None:
    """Seeds the generators of torch, Python and, where it is imported, numpy."""
    torch.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:  # A factory that draws from numpy has imported it.
        sys.modules["numpy"].random.seed(seed)


@contextlib.contextmanager
def _patched(patches: list[tuple[Any, str, Callable[[Any], Any]]]) -> Iterator[None]:
    """Replaces attributes for a while; each patch makes the new value from the old one."""
    old = [(place, name, getattr(place, name)) for place, name, _ in patches]
    try:
        for (place, name, value), (_, _, wrap) in zip(old, patches, strict=True):
            setattr(place, name, wrap(value))
        yield
    finally:
        for place, name, value in old:
            setattr(place, name, value)


@contextlib.contextmanager
def _shifted_seeds() -> Iterator[None]:
    def shifted(plain: Any) -> Any:
        def seed(value: Any = None, *args: Any, **kwargs: Any) -> Any:
            return plain(value + _OFFSET if isinstance(value, int) else value, *args, **kwargs)

        return seed

    patches: list[tuple[Any, str, Callable[[Any], Any]]] = [(torch, "manual_seed", shifted), (random, "seed", shifted)]
    if "numpy" in sys.modules:
        patches.append((sys.modules["numpy"].random, "seed", shifted))
    with _patched(patches):
        yield


@contextlib.contextmanager
def _seen_loads() -> Iterator[list[str]]:
    """Notes which functions that load weights are called; most loaders in use end in one of these."""
    seen: list[str] = []

    def noting(label: str) -> Callable[[Any], Any]:
        def wrap(plain: Any) -> Any:
            def load(*args: Any, **kwargs: Any) -> Any:
                seen.append(label)
                return plain(*args, **kwargs)

            return load

        return wrap

    patches: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (nn.Module, "load_state_dict", noting("load_state_dict")),
        (torch, "load", noting("torch.load")),
    ]
    if "safetensors.torch" in sys.modules:
        patches.append((sys.modules["safetensors.torch"], "load_file", noting("safetensors.torch.load_file")))
    with _patched(patches):
        yield seen
