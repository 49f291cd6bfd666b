"""Which edits of the architecture are offered: those that were proved to work on this model, and harm none of it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from neuropt_core.nn._offer import Offer, Preset
from neuropt_core.nn.activations import ACTIVATIONS, SEED_ACTIVATIONS, activation_kind
from neuropt_core.nn.check import NOWHERE, Prover
from neuropt_core.nn.combine import prove_together
from neuropt_core.nn.dropout import GROUPS, at_usual, commonest, group_of
from neuropt_core.nn.edits import RATES, EditPlan
from neuropt_core.nn.flow import Flow
from neuropt_core.nn.pooling import POOLS, pool_kind, why_no_attention
from neuropt_core.nn.sites import Sites, find_sites
from neuropt_core.space import Value

_DESTROYS = "would destroy the loaded weights; hydra.sweeper.space=seed offers it"
_BY_GROUP = "is set by part of the network"
_SLOW = 0.5
"""Where a full check takes longer, in seconds, further activations are checked briefly."""


@dataclass(slots=True)
class _Candidate:
    """A setting that may be offered.

    Attributes:
        name: The field of `EditPlan`.
        values: What can be put in the place of the present, each to be proved; for a rate its bounds.
        present: What a config without the key amounts to: ``keep``, true, or the present rate.
        note: What it touches, for people and advisors.
        reasons: Value -> why it is left out.
    """

    name: str
    values: tuple[Value, ...]
    present: Value
    note: str
    reasons: dict[Value, str] = field(default_factory=dict)

    @property
    def working(self) -> tuple[Value, ...]:
        """The values against which nothing was found."""
        return tuple(value for value in self.values if value not in self.reasons)


def offer_edits(
    offer: Offer,
    flow: Flow,
    *,
    destructive: bool,
    space: Preset = "standard",
    taken: Collection[str] = (),
) -> None:
    """Offers the edits that pass their checks, alone and together.

    Args:
        offer: Collects what is offered and why the rest is not.
        flow: What a pass of the model showed.
        destructive: Whether edits that change the model's function are offered, too.
        space: ``wide`` adds dropout by part of the network and, for loaded weights, pooling by attention, which starts
            as the average; ``seed`` leaves out stochastic depth.
        taken: Roles that the model's own arguments have: two parameters for one rate would hide each other.
    """
    found = _candidates(offer, find_sites(offer.model, flow), destructive, space)
    candidates = [candidate for candidate in found if _role(candidate.name) not in taken]
    for name in [name for name in offer.left_out if _role(name) in taken]:
        del offer.left_out[name]
    prover = Prover(offer.model, offer.seen, offer.head, flow)
    _prove_rates(prover, [c for c in candidates if c.name in RATES])
    for candidate in candidates:
        if candidate.name not in RATES:
            _prove(prover, candidate, preserving=not destructive)
    together = {c.name: c.working[-1:] if c.name in RATES else c.working for c in candidates if c.working}
    by_name = {c.name: c for c in candidates}
    for (name, value), reason in prove_together(prover, together).items():
        for lost in by_name[name].values if name in RATES else (value,):
            by_name[name].reasons[lost] = reason
    for candidate in candidates:
        _emit(offer, candidate)


def _role(name: str) -> str:
    return "dropout" if name.startswith("dropout_") else name


def _candidates(offer: Offer, sites: Sites, destructive: bool, space: Preset) -> Iterable[_Candidate]:
    def layers(paths: Iterable[str]) -> str:
        return f"{len(list(paths))} layers"

    model = offer.model
    if sites.activations:
        kinds = dict.fromkeys(activation_kind(model.get_submodule(path)) for path in sites.activations)
        mine = [kind for kind in ACTIVATIONS if kind == offer.current.get("activation")]
        choices = tuple(dict.fromkeys((*SEED_ACTIVATIONS, *kinds, *mine)))
        if destructive:
            yield _Candidate("activation", choices, "keep", layers(sites.activations))
        else:
            offer.left_out["activation"] = _DESTROYS
    yield from _dropouts(offer, sites, space)
    for name, paths in (("use_batchnorm", sites.batchnorms), ("use_layernorm", sites.layernorms)):
        if paths and destructive:
            yield _Candidate(name, (False,), True, layers(paths))
        elif paths:
            offer.left_out[name] = _DESTROYS
    if sites.pools:
        yield from _pools(offer, sites, destructive, space)
    if sites.attentions:
        yield _Candidate("mha_dropout", (0.0, 0.3), sites.mha_dropout, layers(sites.attentions))
    if sites.drop_paths and space != "seed":
        top = max(sites.drop_paths.values())
        yield _Candidate("drop_path", (0.0, 0.5), top, f"{layers(sites.drop_paths)}, the last at this rate")


def _dropouts(offer: Offer, sites: Sites, space: Preset) -> Iterable[_Candidate]:
    groups: dict[str, dict[str, float]] = {}
    for path, rate in sites.rates.items():
        groups.setdefault(group_of(path, offer.head), {})[path] = rate
    named = [group for group in GROUPS if group in groups]
    note = f"{len(sites.dropouts)} layers" if sites.dropouts else "in front of the head"
    # Who has set one rate for all layers already wants to vary that.
    if space != "wide" or len(named) < 2 or "dropout" in offer.current:
        if sites.dropouts or offer.head:
            yield _Candidate("dropout", (0.0, 0.5), sites.dropout or 0.0, note)
        else:
            offer.left_out["dropout"] = "there is no dropout layer and no head to put one in front of"
        return
    rest = groups.get("", {})
    if rest:
        yield _Candidate("dropout", (0.0, 0.5), commonest(rest.values()), f"{len(at_usual(rest))} other layers")
    else:
        offer.left_out["dropout"] = f"{_BY_GROUP}: {', '.join(f'dropout_{group}' for group in reversed(named))}"
    for group in reversed(GROUPS):
        if group in named:
            usual = at_usual(groups[group])
            yield _Candidate(f"dropout_{group}", (0.0, 0.5), commonest(groups[group].values()), f"{len(usual)} layers")
        elif group == "head" and offer.head:
            yield _Candidate("dropout_head", (0.0, 0.5), 0.0, "in front of the head")


def _pools(offer: Offer, sites: Sites, destructive: bool, space: Preset) -> Iterable[_Candidate]:
    kinds = {pool_kind(offer.model.get_submodule(path)) for path in sites.pools}
    choices = tuple(kind for kind in POOLS if kinds != {kind})
    if "attention" in choices and not sites.channels:
        offer.left_out["pool_type=attention"] = why_no_attention(offer.seen.reason)
        choices = tuple(kind for kind in choices if kind != "attention")
    if not destructive:
        offer.left_out["pool_type"] = _DESTROYS
        choices = ("attention",) if space == "wide" and kinds == {"avg"} and "attention" in choices else ()
    if choices:
        offer.left_out.pop("pool_type", None)
        yield _Candidate("pool_type", choices, "keep", f"{len(sites.pools)} layers")


def _prove(prover: Prover, candidate: _Candidate, *, preserving: bool) -> None:
    brief = False
    for value in candidate.values:
        plan = EditPlan(**{candidate.name: value})  # type: ignore[arg-type]
        begin = time.process_time()
        reason = prover.check(plan, preserving=preserving, brief=brief)
        if reason:
            candidate.reasons[value] = reason
        elif candidate.name == "activation":
            brief = brief or time.process_time() - begin > _SLOW


def _prove_rates(prover: Prover, rates: list[_Candidate]) -> None:
    """Proves rates at once, since they lie on separate layers; one by one where that fails."""
    probes = {c.name: c.values[-1] if c.present != c.values[-1] else 0.25 for c in rates}
    if len(rates) > 1 and not prover.check(EditPlan(**probes), preserving=True):  # type: ignore[arg-type]
        return
    for candidate in rates:
        plan = EditPlan(**{candidate.name: probes[candidate.name]})  # type: ignore[arg-type]
        if reason := prover.check(plan, preserving=True):
            candidate.reasons.update(dict.fromkeys(candidate.values, reason))


def _emit(offer: Offer, candidate: _Candidate) -> None:
    name, present = candidate.name, candidate.present
    reasons = [reason for reason in candidate.reasons.values() if reason != NOWHERE]
    if candidate.working and name in RATES:
        low, high = candidate.values
        assert isinstance(low, float) and isinstance(high, float) and isinstance(present, (int, float))  # noqa: PT018
        current = offer.current.get(name)
        top = max(high, float(present), float(current) if isinstance(current, (int, float)) else 0.0)
        offer.number(name, low, top, float(present), candidate.note)
    elif candidate.working:
        choices = (present, *candidate.working)
        offer.choose(name, choices, present, candidate.note)
    if reasons:
        offer.left_out[name if not candidate.working else f"{name} (some)"] = reasons[0]
