"""What a configured model is, and what may be offered for it: the profile that crosses the process border."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from neuropt_core.nn._offer import Offer, Preset
from neuropt_core.nn._sound import refuse_cycles, why_not_tuned
from neuropt_core.nn.arguments import Factory, offer_arguments
from neuropt_core.nn.depth import DepthGroup, depth_groups
from neuropt_core.nn.facts import find_facts
from neuropt_core.nn.flow import observe
from neuropt_core.nn.graph import trace
from neuropt_core.nn.head import check_head, find_head
from neuropt_core.nn.offer_edits import offer_edits
from neuropt_core.nn.offer_training import offer_training
from neuropt_core.nn.offer_tuning import offer_fine_tuning
from neuropt_core.nn.pretrained import judge
from neuropt_core.nn.settings import Settings
from neuropt_core.nn.sites import count_kinds
from neuropt_core.nn.touched import touched
from neuropt_core.profile import Group, ModelProfile, Pretrained
from neuropt_core.space import Value


def inspect_model(
    make: Callable[[], nn.Module],
    *,
    target: str,
    space: Preset = "standard",
    pretrained: bool | None = None,
    current: Mapping[str, Any] | None = None,
    factory: Factory | None = None,
    live: bool = False,
    closely: bool = False,
) -> ModelProfile:
    """Looks into a model before any training and says what it is and what may be tried on it.

    Args:
        make: Builds the model afresh; called twice.
        target: The `_target_` that builds it, for messages.
        space: ``seed`` also offers a pretrained model what destroys its weights, as loevlie/neuropt does; ``wide``
            adds to ``standard`` what pays off only with a large budget.
        pretrained: The user's word on whether weights were loaded; None asks the weights.
        current: The user's present values under ``neuropt``, by short name, e.g. ``{"freeze_strategy": "head_only"}``;
            his ``head`` and the shape of his ``example`` are taken in place of what would be found and guessed.
        factory: What can build the model with other arguments; None offers no argument.
        live: Whether `make` copies a model that is there already, see `judge`.
        closely: Whether to say for each setting which layers it works on.

    Raises:
        IntrospectionError: The model cannot be built.
        ConfigError: A module is part of itself, or a present value is illegal.
    """
    given = Settings.read(current or {})
    began = time.monotonic()
    model, verdict = judge(make, target=target, pretrained=pretrained, live=live)
    seconds = time.monotonic() - began
    refuse_cycles(model, target)
    seen = trace(model, given.example)
    check_head(model, given.head)
    head = find_head(model, seen, verdict.fresh) if given.head is None else given.head
    groups = depth_groups(model, seen, head)
    counts, sizes = _counted(model), _sizes(model)
    offer, flow = Offer(model, seen, head, _scalars(current or {})), observe(model, seen)
    taken = offer_arguments(offer, factory, space, verdict, seconds=seconds)
    offer_edits(offer, flow, destructive=not verdict.verdict or space == "seed", space=space, taken=taken)
    trainable = _offer_tuning(offer, groups, space, verdict, said=pretrained is not None)
    offer_training(offer, space)
    return ModelProfile(
        target=target,
        parameters=sum(sizes.values()),
        **counts,
        head=head,
        groups=tuple(Group(g.name, len(g.tensors), sum(sizes[n] for n in g.tensors)) for g in groups),
        pretrained=verdict,
        trainable=trainable,
        offered=tuple(offer.parameters),
        left_out=offer.left_out,
        facts=find_facts(model, seen, len(groups), guessed=given.example is None),
        functional=flow.functional,
        touched=touched(offer, flow, groups, verdict.fresh) if closely else (),
    )


def _offer_tuning(
    offer: Offer, groups: tuple[DepthGroup, ...], space: Preset, verdict: Pretrained, *, said: bool
) -> dict[str, float]:
    """Offers fine-tuning where weights were loaded; `said` is whether the user himself says whether they were."""
    none = "hydra.sweeper.pretrained says that none were loaded" if said else "no weights were loaded"
    if reason := why_not_tuned(offer.model) if verdict.verdict else none:
        offer.left_out["fine-tuning"] = reason
        return {}
    return offer_fine_tuning(offer, groups, space, verdict.fresh)


def _sizes(model: nn.Module) -> dict[str, int]:
    return {name: 0 if nn.parameter.is_lazy(p) else p.numel() for name, p in model.named_parameters()}


def _scalars(current: Mapping[str, Any]) -> dict[str, Value]:
    return {name: value for name, value in current.items() if isinstance(value, (bool, int, float, str))}


def _counted(model: nn.Module) -> dict[str, Any]:
    """Returns the profile's fields that count layers."""
    counts: dict[str, Counter[str]] = {}
    for family, kind in count_kinds(model):
        counts.setdefault(family, Counter())[kind] += 1
    return {family: dict(counts.get(family, {})) for family in ("activations", "norms", "dropouts", "pools")}
