"""What a configured model is, and what may be offered for it: the profile that crosses the process border."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from neuropt_core.nn.depth import DepthGroup, depth_groups, ends_in_head
from neuropt_core.nn.edits import ACTIVATIONS, POOLS, EditPlan, check
from neuropt_core.nn.freeze import BN_MODES, SEED_STRATEGIES, STRATEGIES, distinct, tracked_norms
from neuropt_core.nn.graph import Trace, trace
from neuropt_core.nn.head import find_head
from neuropt_core.nn.pretrained import judge
from neuropt_core.nn.sites import Sites, count_kinds, find_sites, pool_kind
from neuropt_core.profile import Group, ModelProfile, Pretrained
from neuropt_core.space import Categorical, Float, Parameter, Value, When

Preset = Literal["seed", "standard", "wide"]
_STRATEGIES: dict[Preset, tuple[str, ...]] = {
    "seed": SEED_STRATEGIES,
    "standard": (*SEED_STRATEGIES, "norm_and_bias"),
    "wide": STRATEGIES,
}
_DESTROYS = "would destroy the loaded weights; hydra.sweeper.space=seed offers it"
_FEWEST_GROUPS = 3  # Decay over fewer groups is one more learning rate for the head, not a profile over depth.


def inspect_model(
    make: Callable[[], nn.Module],
    *,
    target: str,
    space: Preset = "standard",
    pretrained: bool | None = None,
    current: Mapping[str, Value] | None = None,
) -> ModelProfile:
    """Looks into a model before any training and says what it is and what may be tried on it.

    Args:
        make: Builds the model afresh; called twice.
        target: The `_target_` that builds it, for messages.
        space: ``seed`` also offers a pretrained model what destroys its weights, as loevlie/neuropt does; ``wide``
            adds to ``standard`` what pays off only with a large budget.
        pretrained: The user's word on whether weights were loaded; None asks the weights.
        current: The user's present values under ``neuropt``, by short name, e.g. ``{"freeze_strategy": "head_only"}``.

    Raises:
        IntrospectionError: The model cannot be built.
    """
    model, verdict = judge(make, target=target, pretrained=pretrained)
    seen = trace(model)
    head = find_head(model, seen, verdict.fresh)
    groups = depth_groups(model, seen, head)
    counts: dict[str, Counter[str]] = {}
    for family, kind in count_kinds(model):
        counts.setdefault(family, Counter())[kind] += 1
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    offer = _Offer(model, seen, head, {name: value for name, value in (current or {}).items() if value is not None})
    offer.edits(destructive=not verdict.verdict or space == "seed")
    trainable = offer.fine_tuning(verdict, groups, space)
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
    )


@dataclass(slots=True)
class _Offer:
    """Collects the parameters that are safe on a model, and the reasons for leaving out the others."""

    model: nn.Module
    seen: Trace
    head: tuple[str, ...]
    current: dict[str, Value]
    parameters: list[Parameter] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def edits(self, *, destructive: bool) -> None:
        """Offers the edits that pass their check; those that change the function only if `destructive`."""
        sites = find_sites(self.model)
        if sites.activations:
            self._swap("activation", tuple(ACTIVATIONS), len(sites.activations), destructive)
        self._rate("dropout", sites.dropout, len(sites.dropouts), 0.5)
        for name, paths in (("use_batchnorm", sites.batchnorms), ("use_layernorm", sites.layernorms)):
            if paths:
                self._norm(name, len(paths), destructive)
        if sites.pools:
            self._swap("pool_type", POOLS, len(sites.pools), destructive, present=self._pool(sites))
        if sites.attentions:
            self._rate("mha_dropout", sites.mha_dropout, len(sites.attentions), 0.3)

    def fine_tuning(self, verdict: Pretrained, groups: tuple[DepthGroup, ...], space: Preset) -> dict[str, float]:
        """Offers what fine-tuning can vary, and returns the share of parameters that each strategy trains."""
        if not verdict.verdict:
            self.left_out["fine-tuning"] = "no weights were loaded"
            return {}
        has_head, current = ends_in_head(groups, self.head), self.current.get("freeze_strategy")
        # What the user has now is compared with the rest, whatever the preset holds.
        wanted = [name for name in STRATEGIES if name in _STRATEGIES[space] or name == current]
        strategies, merged = distinct(self.model, groups, has_head=has_head, strategies=wanted)
        for name, reason in merged.items():
            self.left_out[f"freeze_strategy={name}"] = reason
        deep = tuple(name for name in strategies if name != "head_only")
        condition: tuple[When, ...] = ()
        if len(strategies) > 1:
            note = f"head: {', '.join(self.head) or 'none'}"
            if "schedule" in strategies:  # The one whose name does not say to an advisor what it does.
                note = f"{note}; schedule: head first, then block by block, all from half of training on"
            self._choose("freeze_strategy", tuple(strategies), "full", note)
            condition = (When("neuropt.freeze_strategy", deep),) if len(deep) < len(strategies) else ()
        if len(groups) >= _FEWEST_GROUPS:
            self.parameters.append(
                Float(
                    name="neuropt.lr_layer_decay",
                    low=0.5,
                    high=1.0,
                    default=self.current.get("lr_layer_decay", 1.0),
                    has_default=True,
                    when=condition,
                    role="lr_layer_decay",
                    note=f"{len(groups)} depth groups",
                )
            )
        else:
            self.left_out["lr_layer_decay"] = f"there are only {len(groups)} depth groups"
        if space == "wide" and has_head and deep:
            self._log("head_lr_mult", 1.0, 30.0, 1.0, "the head's rate is so many times lr", condition)
        self._choose("l2sp_regularization", (False, True), False, "pull towards the loaded weights", condition)
        if space == "wide":
            pulled = (*condition, When("neuropt.l2sp_regularization", (True,)))
            self._log("l2sp_strength", 1e-4, 1.0, 0.01, "how hard it pulls", pulled)
        norms = tracked_norms(self.model)
        if norms:
            self._choose("bn_mode", BN_MODES, "train", f"statistics of {len(norms)} BatchNorm layers", condition)
        total = sum(p.numel() for p in self.model.parameters())
        sizes = {name: p.numel() for name, p in self.model.named_parameters()}
        return {name: sum(sizes[n] for n in names) / total for name, names in strategies.items()}

    def _pool(self, sites: Sites) -> str:
        kinds = {pool_kind(self.model.get_submodule(path)) for path in sites.pools}
        return kinds.pop() if len(kinds) == 1 else ""

    def _check(self, plan: EditPlan, *, preserving: bool) -> str:
        return check(plan, self.model, self.seen, self.head, preserving=preserving)

    def _swap(self, name: str, choices: tuple[str, ...], count: int, allowed: bool, present: str = "") -> None:
        if not allowed:
            self.left_out[name] = _DESTROYS
            return
        working, reason = ["keep"], ""
        for choice in choices:
            if choice == present:
                continue
            complaint = self._check(_plan(name, choice), preserving=False)
            # An activation that all sites have already is the same as keep, no fault.
            if not complaint:
                working.append(choice)
            elif complaint != "there is no place for it":
                reason = complaint
        if len(working) > 1:
            self._choose(name, tuple(working), "keep", f"{count} layers")
        if reason:
            self.left_out[name if len(working) == 1 else f"{name} (some)"] = reason

    def _norm(self, name: str, count: int, allowed: bool) -> None:
        reason = self._check(_plan(name, False), preserving=False) if allowed else _DESTROYS
        if reason:
            self.left_out[name] = reason
        else:
            self._choose(name, (True, False), True, f"{count} layers")

    def _rate(self, name: str, present: float | None, count: int, high: float) -> None:
        if not count and not self.head:
            self.left_out[name] = "there is no dropout layer and no head to put one in front of"
            return
        # Any rate other than the present one proves that the place can be reached.
        probe = 0.25 if present != 0.25 else 0.2
        reason = self._check(_plan(name, probe), preserving=True)
        if reason:
            self.left_out[name] = reason
            return
        note = f"{count} layers" if count else "in front of the head"
        self.parameters.append(
            Float(
                name=f"neuropt.{name}",
                low=0.0,
                high=high,
                default=self.current.get(name, present or 0.0),
                has_default=True,
                role=name,
                note=note,
            )
        )

    def _log(self, name: str, low: float, high: float, default: float, note: str, when: tuple[When, ...]) -> None:
        self.parameters.append(
            Float(
                name=f"neuropt.{name}",
                low=low,
                high=high,
                log=True,
                default=self.current.get(name, default),
                has_default=True,
                when=when,
                role=name,
                note=note,
            )
        )

    def _choose(
        self, name: str, choices: tuple[Value, ...], default: Value, note: str, when: tuple[When, ...] = ()
    ) -> None:
        self.parameters.append(
            Categorical(
                name=f"neuropt.{name}",
                choices=choices,
                default=self.current.get(name, default),
                has_default=True,
                when=when,
                role=name,
                note=note,
            )
        )


def _plan(name: str, value: object) -> EditPlan:
    return EditPlan(**{name: value})  # type: ignore[arg-type]
