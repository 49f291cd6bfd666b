"""Edits of a model's architecture: what can be edited, a plan as data, its application, and the proof that it works."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.example import device_of, kept_generators, run, shadow, tensors_in
from neuropt_core.nn.graph import Trace
from neuropt_core.nn.sites import POOL_TWINS, Sites, find_sites, pool_kind

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "prelu": nn.PReLU,
}
"""The activations that can be put in, by the names that loevlie/neuropt gave them."""

POOLS = ("avg", "max")


@dataclass(frozen=True, slots=True)
class EditPlan:
    """What to change; every default changes nothing.

    Attributes:
        activation: A name of `ACTIVATIONS` for every hidden activation, or ``keep``.
        dropout: The rate, in [0, 1), of the dropout layers at the model's usual rate, or in front of the head of a
            model that has none; None leaves it.
        use_batchnorm: False puts the identity in the place of every BatchNorm.
        use_layernorm: False puts the identity in the place of every LayerNorm.
        pool_type: One of `POOLS` for the global pool, or ``keep``.
        mha_dropout: The rate, in [0, 1), inside ``nn.MultiheadAttention``; None leaves it.

    Raises:
        ConfigError: A value is none of these.
    """

    activation: str = "keep"
    dropout: float | None = None
    use_batchnorm: bool = True
    use_layernorm: bool = True
    pool_type: str = "keep"
    mha_dropout: float | None = None

    def __post_init__(self) -> None:
        for name, legal in (("activation", tuple(ACTIVATIONS)), ("pool_type", POOLS)):
            if getattr(self, name) not in ("keep", *legal):
                raise ConfigError(f"neuropt.{name}", f"must be one of {['keep', *legal]}", got=getattr(self, name))
        for name in ("use_batchnorm", "use_layernorm"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"neuropt.{name}", "must be true or false", got=getattr(self, name))
        for name in ("dropout", "mha_dropout"):
            rate = getattr(self, name)
            if rate is None:
                continue
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
                raise ConfigError(f"neuropt.{name}", "must be a rate with 0 <= rate < 1", got=rate)


class InputDropout:
    """A forward pre-hook that drops parts of a layer's input while the layer trains.

    A hook and not a wrapper: the names of the parameters stay what checkpoints know.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, module: nn.Module, args: tuple[object, ...]) -> tuple[object, ...]:
        """Returns `args` with its first tensor under dropout."""
        if not args or not isinstance(args[0], torch.Tensor):
            return args
        return (nn.functional.dropout(args[0], self.rate, module.training), *args[1:])


def apply(plan: EditPlan, model: nn.Module, head: tuple[str, ...] = ()) -> int:
    """Edits `model` in place and returns how many places were changed; a second time changes none.

    Args:
        plan: What to change.
        model: A model that the caller owns.
        head: Module paths of the head, for a dropout in front of it.
    """
    sites = find_sites(model)
    count = 0
    if plan.activation != "keep":
        make = ACTIVATIONS[plan.activation]
        others = [path for path in sites.activations if type(model.get_submodule(path)) is not type(make())]
        count += _replace(model, others, lambda old: _placed(make(), model))
    if plan.dropout is not None and plan.dropout != sites.dropout:
        count += _set_dropout(plan.dropout, model, sites, head)
    if plan.mha_dropout is not None and plan.mha_dropout != sites.mha_dropout:
        for path in sites.attentions:
            model.get_submodule(path).dropout = float(plan.mha_dropout)  # type: ignore[assignment]
        count += len(sites.attentions)
    if not plan.use_batchnorm:
        count += _replace(model, sites.batchnorms, lambda old: nn.Identity())
    if not plan.use_layernorm:
        count += _replace(model, sites.layernorms, lambda old: nn.Identity())
    if plan.pool_type != "keep":
        others = [path for path in sites.pools if pool_kind(model.get_submodule(path)) != plan.pool_type]
        count += _replace(model, others, lambda old: POOL_TWINS[type(old)](old.output_size))
    return count


def _set_dropout(rate: float, model: nn.Module, sites: Sites, head: tuple[str, ...]) -> int:
    if sites.dropouts:
        for path in sites.dropouts:
            model.get_submodule(path).p = rate  # type: ignore[assignment]
        return len(sites.dropouts)
    modules = [model.get_submodule(path) for path in head]
    old = [hook for module in modules for hook in module._forward_pre_hooks.values() if isinstance(hook, InputDropout)]
    if old:
        changed = [hook for hook in old if hook.rate != rate]
        for hook in changed:
            hook.rate = rate
        return len(changed)
    if rate == 0:
        return 0
    for module in modules:
        module.register_forward_pre_hook(InputDropout(rate))
    return len(modules)


def _placed(new: nn.Module, model: nn.Module) -> nn.Module:
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    return new if like is None else new.to(device=like.device, dtype=like.dtype)


def _replace(model: nn.Module, paths: Iterable[str], make: Callable[[nn.Module], nn.Module]) -> int:
    """Puts one new module in every place of each module that `paths` names."""
    old = {id(model.get_submodule(path)): path for path in paths}
    new: dict[int, nn.Module] = {}
    for path, module in list(model.named_modules(remove_duplicate=False)):
        if id(module) in old and path:
            new.setdefault(id(module), make(module)).train(module.training)
            above, _, name = path.rpartition(".")
            setattr(model.get_submodule(above), name, new[id(module)])
    return len(new)


def check(plan: EditPlan, model: nn.Module, seen: Trace, head: tuple[str, ...], *, preserving: bool) -> str:
    """Returns why the plan does not work on a copy of `model`, or "": nothing was found against it.

    The edited copy must change somewhere, give outputs of the same shapes, finite, let a gradient flow into every new
    parameter, and, if `preserving`, answer in eval mode as the model does, to 1e-4.

    Args:
        plan: The edit.
        model: The model; it stays as it is.
        seen: What `trace` found in it; without an example nothing can be proved.
        head: Module paths of the head.
        preserving: Whether the edit must not change the function that the model computes in eval mode.
    """
    if seen.example is None:
        return f"cannot be proved, since {seen.reason}"
    edited = shadow(model).eval()
    known = {name for name, _ in model.named_parameters()}
    try:
        if not apply(plan, edited, head):
            return "there is no place for it"
        if plan.dropout and not find_sites(model).dropouts and not any(path in seen.called for path in head):
            return "the head is used only by its weights, so that nothing in front of it can be reached"
        return _compare(edited, seen, known, preserving)
    except Exception as error:  # noqa: BLE001 - an edit that breaks the model fails in its own way; the reason is kept
        return f"the edited model fails ({type(error).__name__}: {error})".splitlines()[0]


def _compare(edited: nn.Module, seen: Trace, known: set[str], preserving: bool) -> str:
    assert seen.example is not None  # `check` has seen to it.
    example, before = seen.example.to(device_of(edited)), seen.outputs
    with kept_generators(edited):
        with torch.no_grad():
            after = tensors_in(run(edited, example))
        if [t.shape for t in before] != [t.shape for t in after]:
            return "its outputs have other shapes"
        if preserving and not all(
            torch.allclose(b, a, atol=1e-4, rtol=1e-4) for b, a in zip(before, after, strict=True)
        ):
            return "it changes what the model computes"
        outputs = tensors_in(run(edited.train(), example))
        if not all(bool(torch.isfinite(t).all()) for t in (*after, *outputs)):
            return "its outputs are not finite"
        new = {name: p for name, p in edited.named_parameters() if name not in known}
        # Without new weights one old one shows that the way back is open; gradients of all would only cost time.
        wanted = list(new.values()) or list(edited.parameters())[:1]
        loss = torch.stack([t.float().square().mean() for t in outputs]).sum()
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
    dead = [name for name, gradient in zip(new, gradients, strict=False) if gradient is None]
    return f"no gradient reaches {dead[0]}" if dead else ""
