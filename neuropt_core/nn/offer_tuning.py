"""What fine-tuning can vary on a model: what is frozen, how rates fall with depth, the pull towards loaded weights."""

from __future__ import annotations

import importlib.util

from neuropt_core.errors import ConfigError
from neuropt_core.nn._offer import Offer, Preset
from neuropt_core.nn.depth import DepthGroup, ends_in_head
from neuropt_core.nn.example import kept_generators, shadow
from neuropt_core.nn.freeze import BN_MODES, SEED_STRATEGIES, STRATEGIES, distinct, tracked_norms, trained
from neuropt_core.nn.lora import Adapters, find_targets, has_attention
from neuropt_core.nn.settings import Settings
from neuropt_core.space import Int, When

_STRATEGIES: dict[Preset, tuple[str, ...]] = {
    "seed": SEED_STRATEGIES,
    "standard": (*SEED_STRATEGIES, "norm_and_bias"),
    "wide": STRATEGIES,
}
_FEWEST_GROUPS = 3  # Decay over fewer groups is one more learning rate for the head, not a profile over depth.


_RANKS = (4, 64)

_NOTES = {
    "lp_ft": "lp_ft: the head alone for lp_ft_share of training, then all",
    "schedule": "schedule: head first, then block by block, all from half of training on",
    "lora": "lora: the head, and low-rank additions to frozen weights",
}
"""What strategies do whose names do not say it to an advisor."""


def offer_fine_tuning(
    offer: Offer, groups: tuple[DepthGroup, ...], space: Preset, fresh: tuple[str, ...] = ()
) -> dict[str, float]:
    """Offers what fine-tuning can vary, and returns the share of parameters that each strategy trains, in [0, 1].

    Args:
        offer: Collects what is offered.
        groups: The model's depth groups.
        space: The preset.
        fresh: Names of the tensors that were not loaded.
    """
    has_head = ends_in_head(groups, offer.head)
    strategies = _strategies(offer, groups, space, has_head)
    shares = _shares(offer, strategies)
    # What the user has now is compared with the rest, whatever the preset holds.
    if space == "wide" or offer.current.get("freeze_strategy") == "lora":
        share = _lora_share(offer, groups, has_head, fresh)
        shares |= {} if share is None else {"lora": share}
    condition, moving = _offer_freezing(offer, tuple(shares))
    if has_head and "lora" not in shares and all(names <= set(groups[-1].tensors) for names in strategies.values()):
        for name in ("lr_layer_decay", "l2sp_regularization", "bn_mode"):
            offer.left_out[name] = "only the head trains"
        return shares
    if len(groups) >= _FEWEST_GROUPS:
        offer.number("lr_layer_decay", 0.5, 1.0, 1.0, f"{len(groups)} depth groups", condition)
    else:
        offer.left_out["lr_layer_decay"] = f"there are only {len(groups)} depth groups"
    if space == "wide" and has_head and set(shares) != {"head_only"}:
        offer.number("head_lr_mult", 1.0, 30.0, 1.0, "the head's rate is so many times lr", condition, log=True)
    offer.choose("l2sp_regularization", (False, True), False, "pull towards the loaded weights", moving)
    if space == "wide":
        pulled = (*moving, When("neuropt.l2sp_regularization", (True,)))
        offer.number("l2sp_strength", 1e-4, 1.0, 0.01, "how hard it pulls", pulled, log=True)
    norms = tracked_norms(offer.model)
    if norms:
        offer.choose("bn_mode", BN_MODES, "train", f"statistics of {len(norms)} BatchNorm layers", moving)
    return shares


def _strategies(
    offer: Offer, groups: tuple[DepthGroup, ...], space: Preset, has_head: bool
) -> dict[str, frozenset[str]]:
    """Returns the strategies that differ with what each trains, but for ``lora``, which adds weights."""
    own = offer.current.get("freeze_strategy")
    wanted = [n for n in STRATEGIES if n != "lora" and (n in _STRATEGIES[space] or n == own)]
    # The user's own comes first, so that what coincides with it gives way: conditions are told by its name.
    first = sorted(wanted, key=lambda name: name != own)
    kept, merged = distinct(offer.model, groups, has_head=has_head, strategies=first)
    for name, reason in merged.items():
        offer.left_out[f"freeze_strategy={name}"] = reason
    return {name: kept[name] for name in wanted if name in kept}


def _shares(offer: Offer, strategies: dict[str, frozenset[str]]) -> dict[str, float]:
    sizes = {name: p.numel() for name, p in offer.model.named_parameters()}
    return {name: sum(sizes[n] for n in names) / sum(sizes.values()) for name, names in strategies.items()}


def _lora_share(offer: Offer, groups: tuple[DepthGroup, ...], has_head: bool, fresh: tuple[str, ...]) -> float | None:
    """Returns the share of all parameters, the adapters among them, that ``lora`` trains; None if it is not offered.

    It is taken at the rank that the user has, on a copy.
    """
    reason = ""
    if not has_attention(offer.model):
        reason = "there is no attention layer"
    elif importlib.util.find_spec("peft") is None:
        reason = "peft is not installed: pip install 'hydra-neuropt-sweeper[lora]'"
    else:
        try:
            targets, reason = find_targets(offer.model, offer.seen, offer.head, fresh)
        except ConfigError as error:
            reason = str(error)
    if reason:
        offer.left_out["freeze_strategy=lora"] = reason
        return None
    whole = {*trained("lora", offer.model, groups, has_head=has_head), *fresh}
    own = Settings.read({key: offer.current[key] for key in ("lora_rank", "lora_dora") if key in offer.current})
    twin = shadow(offer.model)
    with kept_generators(offer.model):
        added = Adapters(twin, targets, own.lora_rank, own.lora_dora).tensors
    sizes = {name: p.numel() for name, p in twin.named_parameters()}
    free = sum(p.numel() for name, p in offer.model.named_parameters() if name in whole and p.requires_grad)
    return (free + sum(sizes[name] for name in added)) / sum(sizes.values())


def _offer_freezing(offer: Offer, strategies: tuple[str, ...]) -> tuple[tuple[When, ...], tuple[When, ...]]:
    """Offers the strategies and what belongs to one of them alone.

    Returns the conditions that more than the head trains, and that loaded weights before the head move.
    """
    if len(strategies) < 2:
        return (), ()
    notes = [_NOTES[name] for name in strategies if name in _NOTES]
    offer.choose("freeze_strategy", strategies, "full", "; ".join([f"head: {', '.join(offer.head) or 'none'}", *notes]))
    if "lp_ft" in strategies:
        only = (When("neuropt.freeze_strategy", ("lp_ft",)),)
        offer.number("lp_ft_share", 0.1, 0.5, 0.3, "the share of training that the head has to itself", only)
    if "lora" in strategies:
        offer.parameters.append(
            Int(
                name="neuropt.lora_rank",
                low=_RANKS[0],
                high=_RANKS[1],
                log=True,
                default=offer.current.get("lora_rank", 8),
                has_default=True,
                when=(When("neuropt.freeze_strategy", ("lora",)),),
                role="lora_rank",
                note="rank of the additions",
            )
        )
    return _unless(strategies, ("head_only",)), _unless(strategies, ("head_only", "lora"))


def _unless(strategies: tuple[str, ...], without: tuple[str, ...]) -> tuple[When, ...]:
    left = tuple(name for name in strategies if name not in without)
    return (When("neuropt.freeze_strategy", left),) if len(left) < len(strategies) else ()
