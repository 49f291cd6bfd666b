"""What each offered setting works on: the layers that an edit replaces, the parameters that a strategy trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields

from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn._offer import Offer
from neuropt_core.nn.depth import DepthGroup, ends_in_head
from neuropt_core.nn.edits import RATES, EditPlan, changes
from neuropt_core.nn.flow import Flow
from neuropt_core.nn.freeze import tracked_norms, trained
from neuropt_core.nn.lora import find_targets
from neuropt_core.profile import Touched
from neuropt_core.space import Categorical, Parameter, Value

_EDITS = tuple(field.name for field in fields(EditPlan))
_EVERYWHERE = {
    "label_smoothing": "the targets of tuning.cross_entropy, no layer",
    "warmup_share": "the rates of all parameters in the first steps, no layer",
    "ema_decay": "a second copy of all weights, which is averaged",
    "lp_ft_share": "how long the head trains alone, no layer",
}
"""Settings that work on training as a whole."""


def touched(
    offer: Offer, flow: Flow, groups: tuple[DepthGroup, ...], fresh: tuple[str, ...] = ()
) -> tuple[Touched, ...]:
    """Returns what every offered setting under ``neuropt`` would work on; the model is left as it is.

    Args:
        offer: What is offered, and the model.
        flow: What a pass of the model showed.
        groups: The model's depth groups.
        fresh: Names of the tensors that were not loaded.
    """
    found: list[Touched] = []
    for parameter in offer.parameters:
        name = parameter.name.removeprefix("neuropt.")
        if name == parameter.name:
            continue  # An argument of the factory; its note says what it does.
        if name in _EDITS:
            found += _edited(parameter, name, offer, flow)
        else:
            found += _tuned(parameter, name, offer, groups, fresh)
    return tuple(found)


def _edited(parameter: Parameter, name: str, offer: Offer, flow: Flow) -> Iterator[Touched]:
    values: Iterable[Value] = parameter.choices if isinstance(parameter, Categorical) else (None,)
    for value in values:
        probe = value
        if value is None and name in RATES:
            # Any rate that is not the present one reaches the layers that the setting reaches.
            probe = 0.25 if parameter.default != 0.25 else 0.3
        made = changes(EditPlan(**{name: probe}), offer.model, offer.head, flow)  # type: ignore[arg-type]
        if made:
            what = "; ".join(change.what for change in made)
            paths = tuple(dict.fromkeys(path for change in made for path in change.paths))
            yield Touched(parameter.name, value, "the rate" if value is None else what, paths)


def _tuned(
    parameter: Parameter, name: str, offer: Offer, groups: tuple[DepthGroup, ...], fresh: tuple[str, ...]
) -> Iterator[Touched]:
    model, key = offer.model, parameter.name
    sizes = {n: p.numel() for n, p in model.named_parameters() if not nn.parameter.is_lazy(p)}
    if name == "freeze_strategy" and isinstance(parameter, Categorical):
        has_head = ends_in_head(groups, offer.head)
        for strategy in parameter.choices:
            names = trained(str(strategy), model, groups, has_head=has_head)
            free = [n for n in sizes if n in names]
            what = _WHEN.get(str(strategy), "trains")
            yield Touched(key, strategy, what, _modules(free), sum(sizes[n] for n in free))
    elif name == "lr_layer_decay":
        yield Touched(key, None, f"the rates of {len(groups)} depth groups", tuple(g.name for g in groups))
    elif name == "head_lr_mult":
        yield Touched(key, None, "the rate of the head", offer.head)
    elif name in ("l2sp_regularization", "l2sp_strength"):
        loaded = [n for n in sizes if n not in fresh]
        yield Touched(key, None, "pulls towards the loaded weights", _modules(loaded), sum(sizes[n] for n in loaded))
    elif name == "bn_mode":
        norms = {id(norm) for norm in tracked_norms(model)}
        paths = tuple(path for path, module in model.named_modules() if id(module) in norms)
        yield Touched(key, None, "running statistics", paths)
    elif name == "lora_rank":
        with suppress(ConfigError):  # Then it is not offered; a value that the user has is shown all the same.
            targets, _ = find_targets(model, offer.seen, offer.head, fresh)
            yield Touched(key, None, "low-rank additions", targets)
    else:
        yield Touched(key, None, _EVERYWHERE.get(name, "training as a whole, no layer"))


_WHEN = {
    "lp_ft": "trains in the end; the head alone at first",
    "schedule": "trains in the end; the head first, then block by block",
    "lora": "trains, beside low-rank additions",
}


def _modules(tensors: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[0] or name for name in tensors))
