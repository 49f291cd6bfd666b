"""Which edits of the architecture are offered: those that were proved to work on this model, and harm none of it."""

from __future__ import annotations

from neuropt_core.nn._offer import Offer
from neuropt_core.nn.edits import ACTIVATIONS, POOLS, EditPlan, check
from neuropt_core.nn.sites import find_sites, pool_kind

_DESTROYS = "would destroy the loaded weights; hydra.sweeper.space=seed offers it"


def offer_edits(offer: Offer, *, destructive: bool) -> None:
    """Offers the edits that pass their check; those that change the model's function only if `destructive`."""
    sites = find_sites(offer.model)
    if sites.activations:
        _swap(offer, "activation", tuple(ACTIVATIONS), len(sites.activations), destructive)
    _rate(offer, "dropout", sites.dropout, len(sites.dropouts), 0.5)
    for name, paths in (("use_batchnorm", sites.batchnorms), ("use_layernorm", sites.layernorms)):
        if paths:
            _norm(offer, name, len(paths), destructive)
    if sites.pools:
        kinds = {pool_kind(offer.model.get_submodule(path)) for path in sites.pools}
        present = kinds.pop() if len(kinds) == 1 else ""
        _swap(offer, "pool_type", POOLS, len(sites.pools), destructive, present)
    if sites.attentions:
        _rate(offer, "mha_dropout", sites.mha_dropout, len(sites.attentions), 0.3)


def _swap(offer: Offer, name: str, choices: tuple[str, ...], count: int, allowed: bool, present: str = "") -> None:
    if not allowed:
        offer.left_out[name] = _DESTROYS
        return
    working, reason = ["keep"], ""
    for choice in choices:
        if choice == present:
            continue
        complaint = _check(offer, name, choice, preserving=False)
        # An activation that all sites have already is the same as keep, no fault.
        if not complaint:
            working.append(choice)
        elif complaint != "there is no place for it":
            reason = complaint
    if len(working) > 1:
        offer.choose(name, tuple(working), "keep", f"{count} layers")
    if reason:
        offer.left_out[name if len(working) == 1 else f"{name} (some)"] = reason


def _norm(offer: Offer, name: str, count: int, allowed: bool) -> None:
    reason = _check(offer, name, False, preserving=False) if allowed else _DESTROYS
    if reason:
        offer.left_out[name] = reason
    else:
        offer.choose(name, (True, False), True, f"{count} layers")


def _rate(offer: Offer, name: str, present: float | None, count: int, high: float) -> None:
    if not count and not offer.head:
        offer.left_out[name] = "there is no dropout layer and no head to put one in front of"
        return
    # Any rate other than the present one proves that the place can be reached.
    probe = 0.25 if present != 0.25 else 0.2
    reason = _check(offer, name, probe, preserving=True)
    if reason:
        offer.left_out[name] = reason
    else:
        offer.number(name, 0.0, high, present or 0.0, f"{count} layers" if count else "in front of the head")


def _check(offer: Offer, name: str, value: object, *, preserving: bool) -> str:
    plan = EditPlan(**{name: value})  # type: ignore[arg-type]
    return check(plan, offer.model, offer.seen, offer.head, preserving=preserving)
