"""Edits of a model's architecture: a plan as data, its application, and a dry view of what it would touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.activations import ACTIVATIONS, activation_kind, new_activation, settle_encoder_layer
from neuropt_core.nn.dropout import GROUPS, InputDropout, group_of, input_dropouts, wanted_rates
from neuropt_core.nn.droppath import drop_path_attribute, ramp
from neuropt_core.nn.flow import Flow, observe
from neuropt_core.nn.graph import trace
from neuropt_core.nn.pooling import POOLS, new_pool, pool_kind
from neuropt_core.nn.sites import Sites, find_sites, without_norm

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class EditPlan:
    """What to change; every default changes nothing. All rates are in [0, 1), and None leaves what is there.

    Attributes:
        activation: A name of `ACTIVATIONS` for every hidden activation, or ``keep``.
        dropout: The rate of the dropout layers at the model's usual rate, or in front of the head of a model that has
            none; layers of a group that has a rate of its own below follow that.
        use_batchnorm: False puts the identity in the place of every BatchNorm.
        use_layernorm: False puts the identity in the place of every LayerNorm and RMSNorm.
        pool_type: One of `POOLS` for the global pool, or ``keep``.
        mha_dropout: The rate inside ``nn.MultiheadAttention``.
        dropout_attention: The rate of the dropout layers of attention, those at their usual rate.
        dropout_mlp: The same for feed-forward parts.
        dropout_embedding: The same for embeddings.
        dropout_head: The same for the head; in front of it where it has no dropout.
        drop_path: The largest rate of the stochastic-depth layers, mostly the last block's; all are scaled alike.

    Raises:
        ConfigError: A value is none of these.
    """

    activation: str = "keep"
    dropout: float | None = None
    use_batchnorm: bool = True
    use_layernorm: bool = True
    pool_type: str = "keep"
    mha_dropout: float | None = None
    dropout_attention: float | None = None
    dropout_mlp: float | None = None
    dropout_embedding: float | None = None
    dropout_head: float | None = None
    drop_path: float | None = None

    def __post_init__(self) -> None:
        for name, legal in (("activation", tuple(ACTIVATIONS)), ("pool_type", POOLS)):
            if getattr(self, name) not in ("keep", *legal):
                raise ConfigError(f"neuropt.{name}", f"must be one of {['keep', *legal]}", got=getattr(self, name))
        for name in ("use_batchnorm", "use_layernorm"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"neuropt.{name}", "must be true or false", got=getattr(self, name))
        for name in RATES:
            rate = getattr(self, name)
            if rate is None:
                continue
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
                raise ConfigError(f"neuropt.{name}", "must be a rate with 0 <= rate < 1", got=rate)

    @property
    def by_group(self) -> dict[str, float]:
        """Group of dropout layers -> the rate that it has of its own."""
        rates = {group: getattr(self, f"dropout_{group}") for group in GROUPS}
        return {group: rate for group, rate in rates.items() if rate is not None}

    @property
    def needs_head(self) -> bool:
        """Whether the head must be known: to drop in front of it, or to tell its layers from others."""
        return bool(self.dropout or self.by_group)


RATES = tuple(f.name for f in fields(EditPlan) if f.default is None)
"""The settings that are rates; they leave what the model computes in eval mode as it is."""


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of change that a plan makes.

    Attributes:
        setting: The field of the plan.
        what: In words, e.g. ``ReLU -> GELU``.
        paths: The modules that it touches.
        make: Makes it, once.
    """

    setting: str
    what: str
    paths: tuple[str, ...]
    make: Callable[[], object]


def apply(plan: EditPlan, model: nn.Module, head: tuple[str, ...] = (), flow: Flow | None = None) -> int:
    """Edits `model` in place and returns how many places were changed; a second time changes none.

    Args:
        plan: What to change.
        model: A model that the caller owns.
        head: Module paths of the head.
        flow: What a pass of `model` showed; None makes one where the plan asks for it.
    """
    found = changes(plan, model, head, flow)
    for change in found:
        change.make()
    return sum(len(change.paths) for change in found)


def describe(plan: EditPlan, model: nn.Module, head: tuple[str, ...] = (), flow: Flow | None = None) -> tuple[str, ...]:
    """Returns what `apply` would do, a line per kind of change; touches nothing.

    A line reads ``activation: ReLU -> GELU at 9 places (relu, layer1.0.relu, layer1.1.relu, ...)``.
    """
    return tuple(
        f"{change.setting}: {change.what} at {len(change.paths)} place{'s' if len(change.paths) > 1 else ''} "
        f"({', '.join([*change.paths[:_SHOWN], *(['...'] if len(change.paths) > _SHOWN else [])])})"
        for change in changes(plan, model, head, flow)
    )


def changes(plan: EditPlan, model: nn.Module, head: tuple[str, ...] = (), flow: Flow | None = None) -> list[Change]:
    """Returns what a plan changes on `model`, in the order in which it is to be made; nothing is changed yet."""
    if flow is None and (plan.activation != "keep" or plan.pool_type != "keep"):
        flow = observe(model, trace(model))
    sites = find_sites(model, flow)
    found = [*_swaps(plan, model, sites), *_dropouts(plan, model, sites, head), *_depth(plan, model, sites)]
    if plan.mha_dropout is not None and plan.mha_dropout != sites.mha_dropout and sites.attentions:
        found += _rated("mha_dropout", dict.fromkeys(sites.attentions, plan.mha_dropout), model, "dropout")
    for setting, paths in (("use_batchnorm", sites.batchnorms), ("use_layernorm", sites.layernorms)):
        if paths and not getattr(plan, setting):
            found += _replacing(setting, "none", model, paths, without_norm)
    return found + _pools(plan, model, sites)


def _swaps(plan: EditPlan, model: nn.Module, sites: Sites) -> list[Change]:
    kind = plan.activation
    layers = {path: model.get_submodule(path) for path in sites.activations}
    others = tuple(path for path, layer in layers.items() if activation_kind(layer) != kind)
    if kind == "keep" or not others:
        return []
    name = type(ACTIVATIONS[kind]()).__name__
    present = list(layers.values())
    return _replacing("activation", name, model, others, lambda old: new_activation(kind, old, present, model))


def _dropouts(plan: EditPlan, model: nn.Module, sites: Sites, head: tuple[str, ...]) -> list[Change]:
    found: list[Change] = []
    for setting, rates in wanted_rates(sites.rates, plan.dropout, plan.by_group, head).items():
        found += _rated(setting, rates, model, "p")
    in_head = any(group_of(path, head) == "head" for path in sites.rates)
    if plan.dropout_head is not None and not in_head:
        found += _put_in("dropout_head", plan.dropout_head, model, head)
    elif plan.dropout is not None and not sites.rates:
        found += _put_in("dropout", plan.dropout, model, head)
    return found


def _put_in(setting: str, rate: float, model: nn.Module, head: tuple[str, ...]) -> list[Change]:
    hooks = input_dropouts(model, head)
    paths = tuple(path for path in head if (hooks[path].rate if path in hooks else 0.0) != rate)

    def make() -> None:
        for path in paths:
            if path in hooks:
                hooks[path].rate = rate
            else:
                model.get_submodule(path).register_forward_pre_hook(InputDropout(rate), with_kwargs=True)

    return [Change(setting, f"{rate:g} in front of the head", paths, make)] if paths else []


def _depth(plan: EditPlan, model: nn.Module, sites: Sites) -> list[Change]:
    if plan.drop_path is None or not sites.drop_paths:
        return []
    rates = ramp(sites.drop_paths, plan.drop_path)
    found: list[Change] = []
    for key in ("p", "drop_prob"):
        mine = {
            path: rate
            for path, rate in rates.items()
            if rate != sites.drop_paths[path] and drop_path_attribute(model.get_submodule(path)) == key
        }
        found += _rated("drop_path", mine, model, key) if mine else []
    return found


def _rated(setting: str, rates: Mapping[str, float], model: nn.Module, attribute: str) -> list[Change]:
    def make() -> None:
        for path, rate in rates.items():
            setattr(model.get_submodule(path), attribute, float(rate))

    old = [getattr(model.get_submodule(path), attribute) or 0.0 for path in rates]
    shown = [f"{min(r):g}" if min(r) == max(r) else f"{min(r):g}..{max(r):g}" for r in (old, rates.values()) if r]
    return [Change(setting, " -> ".join(shown), tuple(rates), make)] if rates else []


def _pools(plan: EditPlan, model: nn.Module, sites: Sites) -> list[Change]:
    paths = sites.channels if plan.pool_type == "attention" else sites.pools
    others = [path for path in paths if pool_kind(model.get_submodule(path)) != plan.pool_type]
    if plan.pool_type == "keep" or not others:
        return []
    channels = {id(model.get_submodule(path)): sites.channels.get(path, 0) for path in others}
    return _replacing(
        "pool_type", plan.pool_type, model, others, lambda old: new_pool(plan.pool_type, old, channels[id(old)], model)
    )


def _replacing(
    setting: str, name: str, model: nn.Module, paths: tuple[str, ...] | list[str], new: Callable[[nn.Module], nn.Module]
) -> list[Change]:
    """Returns the change that puts one new module in every place of each module that `paths` names."""

    def make() -> None:
        old = {id(model.get_submodule(path)) for path in paths}
        put: dict[int, nn.Module] = {}
        for path, module in list(model.named_modules(remove_duplicate=False)):
            if id(module) in old and path:
                put.setdefault(id(module), new(module)).train(module.training)
                above, _, key = path.rpartition(".")
                parent = model.get_submodule(above)
                parent._modules[key] = put[id(module)]
                settle_encoder_layer(parent)

    kinds = Counter(type(model.get_submodule(path)).__name__ for path in paths)
    return [Change(setting, f"{', '.join(kinds)} -> {name}", tuple(paths), make)]
