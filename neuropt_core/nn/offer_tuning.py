"""What fine-tuning can vary on a model: what is frozen, how rates fall with depth, the pull towards loaded weights."""

from __future__ import annotations

from neuropt_core.nn._offer import Offer, Preset
from neuropt_core.nn.depth import DepthGroup, ends_in_head
from neuropt_core.nn.freeze import BN_MODES, SEED_STRATEGIES, STRATEGIES, distinct, tracked_norms
from neuropt_core.space import When

_STRATEGIES: dict[Preset, tuple[str, ...]] = {
    "seed": SEED_STRATEGIES,
    "standard": (*SEED_STRATEGIES, "norm_and_bias"),
    "wide": STRATEGIES,
}
_FEWEST_GROUPS = 3  # Decay over fewer groups is one more learning rate for the head, not a profile over depth.


def offer_fine_tuning(offer: Offer, groups: tuple[DepthGroup, ...], space: Preset) -> dict[str, float]:
    """Offers what fine-tuning can vary, and returns the share of parameters that each strategy trains, in [0, 1]."""
    has_head = ends_in_head(groups, offer.head)
    strategies, condition = _freezing(offer, groups, space, has_head)
    if len(groups) >= _FEWEST_GROUPS:
        offer.number("lr_layer_decay", 0.5, 1.0, 1.0, f"{len(groups)} depth groups", condition)
    else:
        offer.left_out["lr_layer_decay"] = f"there are only {len(groups)} depth groups"
    if space == "wide" and has_head and set(strategies) != {"head_only"}:
        offer.number("head_lr_mult", 1.0, 30.0, 1.0, "the head's rate is so many times lr", condition, log=True)
    offer.choose("l2sp_regularization", (False, True), False, "pull towards the loaded weights", condition)
    if space == "wide":
        pulled = (*condition, When("neuropt.l2sp_regularization", (True,)))
        offer.number("l2sp_strength", 1e-4, 1.0, 0.01, "how hard it pulls", pulled, log=True)
    norms = tracked_norms(offer.model)
    if norms:
        offer.choose("bn_mode", BN_MODES, "train", f"statistics of {len(norms)} BatchNorm layers", condition)
    total = sum(p.numel() for p in offer.model.parameters())
    sizes = {name: p.numel() for name, p in offer.model.named_parameters()}
    return {name: sum(sizes[n] for n in names) / total for name, names in strategies.items()}


def _freezing(
    offer: Offer, groups: tuple[DepthGroup, ...], space: Preset, has_head: bool
) -> tuple[dict[str, frozenset[str]], tuple[When, ...]]:
    """Offers the strategies that differ; returns what each trains, and the condition that more than the head trains."""
    # What the user has now is compared with the rest, whatever the preset holds.
    wanted = [n for n in STRATEGIES if n in _STRATEGIES[space] or n == offer.current.get("freeze_strategy")]
    strategies, merged = distinct(offer.model, groups, has_head=has_head, strategies=wanted)
    for name, reason in merged.items():
        offer.left_out[f"freeze_strategy={name}"] = reason
    deep = tuple(name for name in strategies if name != "head_only")
    if len(strategies) < 2:
        return strategies, ()
    note = f"head: {', '.join(offer.head) or 'none'}"
    if "schedule" in strategies:  # The one whose name does not say to an advisor what it does.
        note = f"{note}; schedule: head first, then block by block, all from half of training on"
    offer.choose("freeze_strategy", tuple(strategies), "full", note)
    return strategies, (When("neuropt.freeze_strategy", deep),) if len(deep) < len(strategies) else ()
