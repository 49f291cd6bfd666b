"""Whether a setting has a place on a model: what is set by hand, and would change nothing, is told."""

from __future__ import annotations

from dataclasses import fields

from torch import nn

from neuropt_core.nn.dropout import group_of
from neuropt_core.nn.edits import RATES, EditPlan
from neuropt_core.nn.flow import Flow
from neuropt_core.nn.pooling import why_no_attention
from neuropt_core.nn.sites import Sites, find_sites


def has_place(setting: str, sites: Sites, head: tuple[str, ...], plan: EditPlan | None = None) -> bool:
    """Tells whether a model has a layer, or for dropout a head, that a setting works on.

    Args:
        setting: A field of `EditPlan`.
        sites: Where the model can be edited.
        head: Module paths of its head.
        plan: What else is set, since a group of dropout layers with a rate of its own leaves ``dropout`` the others,
            and attention asks more of a pool; None is nothing else.
    """
    plan = plan or EditPlan()
    groups = {group_of(path, head) for path in sites.rates}
    if setting == "dropout":
        return bool(groups - plan.by_group.keys()) or (not sites.rates and bool(head))
    if setting == "dropout_head":
        return "head" in groups or bool(head)
    if setting.startswith("dropout_"):
        return setting.removeprefix("dropout_") in groups
    if setting == "pool_type":
        return bool(sites.channels if plan.pool_type == "attention" else sites.pools)
    places = {
        "activation": sites.activations,
        "use_batchnorm": sites.batchnorms,
        "use_layernorm": sites.layernorms,
        "mha_dropout": sites.attentions,
        "drop_path": sites.drop_paths,
    }
    return bool(places[setting])


def without_effect(
    plan: EditPlan, model: nn.Module, head: tuple[str, ...] = (), flow: Flow | None = None
) -> tuple[str, ...]:
    """Returns a sentence for each setting that changes nothing of `model`, though it differs from what that has.

    A rate of 0 where nothing drops, or an activation that all layers have already, is what the model has.

    Args:
        plan: What is set; the model is not edited yet.
        model: The model.
        head: Module paths of its head.
        flow: What a pass of the model showed, if `plan` sets an activation or a pool.
    """
    sites = find_sites(model, flow)
    said = []
    for key in fields(plan):
        value = getattr(plan, key.name)
        idle = value == key.default or (key.name in RATES and value == 0)
        if not idle and not has_place(key.name, sites, head, plan):
            ran = flow is not None and bool(flow.calls)
            why = why_no_attention("" if ran else "it did not run") if key.name == "pool_type" and sites.pools else ""
            said.append(told(key.name, value, model, why))
    return tuple(said)


def told(setting: str, value: object, model: nn.Module, why: str = "") -> str:
    """Returns the sentence that says that a setting changes nothing, and `why`; "" is for want of a layer."""
    shown = str(value).lower() if isinstance(value, bool) else value
    return f"neuropt.{setting}={shown} changes nothing: {why or f'{type(model).__name__} has no layer for it'}"
