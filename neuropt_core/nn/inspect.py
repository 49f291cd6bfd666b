"""What a configured model is, and what may be offered for it: the profile that crosses the process border."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from torch import nn

from neuropt_core.nn._offer import Offer, Preset
from neuropt_core.nn._sound import refuse_cycles, why_not_tuned
from neuropt_core.nn.arguments import Factory, offer_arguments
from neuropt_core.nn.depth import depth_groups
from neuropt_core.nn.facts import find_facts
from neuropt_core.nn.flow import observe
from neuropt_core.nn.graph import trace
from neuropt_core.nn.head import find_head
from neuropt_core.nn.offer_edits import offer_edits
from neuropt_core.nn.offer_training import offer_training
from neuropt_core.nn.offer_tuning import offer_fine_tuning
from neuropt_core.nn.pretrained import judge
from neuropt_core.nn.sites import count_kinds
from neuropt_core.profile import Group, ModelProfile
from neuropt_core.space import Value


def inspect_model(
    make: Callable[[], nn.Module],
    *,
    target: str,
    space: Preset = "standard",
    pretrained: bool | None = None,
    current: Mapping[str, Value] | None = None,
    factory: Factory | None = None,
) -> ModelProfile:
    """Looks into a model before any training and says what it is and what may be tried on it.

    Args:
        make: Builds the model afresh; called twice.
        target: The `_target_` that builds it, for messages.
        space: ``seed`` also offers a pretrained model what destroys its weights, as loevlie/neuropt does; ``wide``
            adds to ``standard`` what pays off only with a large budget.
        pretrained: The user's word on whether weights were loaded; None asks the weights.
        current: The user's present values under ``neuropt``, by short name, e.g. ``{"freeze_strategy": "head_only"}``.
        factory: What can build the model with other arguments; None offers no argument.

    Raises:
        IntrospectionError: The model cannot be built.
        ConfigError: A module is part of itself.
    """
    began = time.monotonic()
    model, verdict = judge(make, target=target, pretrained=pretrained)
    seconds = time.monotonic() - began
    refuse_cycles(model, target)
    seen = trace(model)
    head = find_head(model, seen, verdict.fresh)
    groups = depth_groups(model, seen, head)
    counts = _counted(model)
    sizes = {name: 0 if nn.parameter.is_lazy(p) else p.numel() for name, p in model.named_parameters()}
    offer = Offer(model, seen, head, {name: value for name, value in (current or {}).items() if value is not None})
    roles = offer_arguments(offer, factory, space, verdict, seconds=seconds)
    flow = observe(model, seen)
    offer_edits(offer, flow, destructive=not verdict.verdict or space == "seed", space=space, taken=roles)
    trainable: dict[str, float] = {}
    reason = why_not_tuned(model) if verdict.verdict else "no weights were loaded"
    if reason:
        offer.left_out["fine-tuning"] = reason
    else:
        trainable = offer_fine_tuning(offer, groups, space, verdict.fresh)
    offer_training(offer, space)
    return ModelProfile(
        target=target,
        parameters=sum(sizes.values()),
        activations=dict(counts.get("activations", {})),
        norms=dict(counts.get("norms", {})),
        dropouts=dict(counts.get("dropouts", {})),
        pools=dict(counts.get("pools", {})),
        head=head,
        groups=tuple(Group(g.name, len(g.tensors), sum(sizes[n] for n in g.tensors)) for g in groups),
        pretrained=verdict,
        trainable=trainable,
        offered=tuple(offer.parameters),
        left_out=offer.left_out,
        facts=find_facts(model, seen, len(groups)),
        functional=flow.functional,
    )


def _counted(model: nn.Module) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for family, kind in count_kinds(model):
        counts.setdefault(family, Counter())[kind] += 1
    return counts
