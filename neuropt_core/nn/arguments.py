"""Arguments of the model's own factory that set a rate of dropout: known by name, offered once they are proved.

They come before surgery. The library's own argument keeps the names in the state dict, keeps the ramp of stochastic
depth, and reaches layers that are not there while their rate is zero: timm builds an identity for a rate of zero.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from neuropt_core.nn._argument_proof import Proof
from neuropt_core.nn._offer import Offer, Preset
from neuropt_core.nn.example import kept_generators
from neuropt_core.nn.places import has_place
from neuropt_core.nn.pretrained import SLOW_SECONDS
from neuropt_core.nn.sites import find_sites
from neuropt_core.profile import Pretrained
from neuropt_core.space import Float

BUDGET_SECONDS = 60.0
"""The longest time that all proofs together may take; what is not proved by then is not offered."""

_NAMES: dict[str, tuple[str, ...]] = {
    "dropout": (
        "drop_rate", "dropout", "dropout_rate", "dropout_prob", "dropout_p", "dropout_ratio", "p_dropout", "drop_prob",
        "drop", "hidden_dropout_prob", "hidden_dropout", "resid_pdrop", "residual_dropout", "ffn_dropout",
        "activation_dropout", "proj_drop_rate", "proj_drop", "embd_pdrop", "embed_dropout", "embedding_dropout",
        "pos_drop_rate", "patch_drop_rate", "classifier_dropout", "classifier_dropout_prob", "classifier_dropout_rate",
        "seq_classif_dropout", "head_dropout", "fc_dropout", "final_dropout", "qa_dropout",
    ),
    "mha_dropout": (
        "attn_drop_rate", "attention_dropout", "attention_dropout_rate", "attention_dropout_prob",
        "attention_probs_dropout_prob", "attn_dropout", "attn_drop", "attn_pdrop", "mha_dropout",
    ),
    "drop_path": (
        "drop_path_rate", "stochastic_depth_prob", "stochastic_depth_rate", "stochastic_depth", "drop_path",
        "drop_path_prob", "droppath", "layerdrop", "encoder_layerdrop", "decoder_layerdrop",
    ),
}  # fmt: skip
# Role -> what torchvision, timm, transformers and people call it, the most general name first.

_HIGHEST = {"dropout": 0.5, "mha_dropout": 0.3, "drop_path": 0.4}
_NOTES = {
    "dropout": "the model's own argument",
    "mha_dropout": "the model's own argument, on attention weights",
    "drop_path": "the model's own argument, drops whole residual branches",
}
_RANKS = {name: (role, rank) for role, names in _NAMES.items() for rank, name in enumerate(names)}


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument that is a rate by its name.

    Attributes:
        name: The key of the user's config that sets it, e.g. ``model.drop_rate``.
        argument: What the factory calls it, e.g. ``drop_rate``.
        value: The rate in the config or, where it is not written there, in the signature; None where there is none.
        written: True if `value` stands in the config. A signature may be overruled on the way to the model (the one
            of torchvision's ConvNeXt says 0.0 where convnext_tiny builds with 0.1), so that its value must be proved.
        depth: How far below the model's node it stands; 0 for an argument of the model itself.
    """

    name: str
    argument: str
    value: float | None
    written: bool
    depth: int = 0

    @property
    def role(self) -> str:
        """``dropout``, ``mha_dropout`` or ``drop_path``."""
        return _RANKS[self.argument][0]

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts the arguments of one role, the most general first."""
        return self.depth, _RANKS[self.argument][1]


class Factory(Protocol):
    """What builds the model, and can build it again with other arguments."""

    def arguments(self, model: nn.Module) -> tuple[tuple[Argument, ...], Mapping[str, str]]:
        """Returns the arguments that are rates, and name -> reason for those that cannot be set; `model` is built."""
        ...

    def build(self, values: Mapping[str, float]) -> nn.Module:
        """Builds the model afresh with some arguments set, by their names as in `Argument.name`."""
        ...


def is_rate(argument: str) -> bool:
    """Tells whether an argument of this name sets a rate of dropout."""
    return argument in _RANKS


def offer_arguments(
    offer: Offer, factory: Factory | None, space: Preset, verdict: Pretrained, *, seconds: float
) -> frozenset[str]:
    """Offers the factory's arguments that are proved to work, and returns the roles that they take.

    One argument a role, the most general one; with ``wide`` all of them, the further ones without a role. A role that
    the user has set under ``neuropt`` is left to that, unless the model has no layer for it. Random generators stay as
    they were.

    Args:
        offer: Where to put them.
        factory: What builds the model; None offers nothing.
        space: The preset; ``seed``, whose original knows no stochastic depth, leaves that out.
        verdict: Which weights were loaded: those must be the same whatever the argument.
        seconds: How long building has taken so far; above `SLOW_SECONDS` nothing is built again.
    """
    if factory is None:
        return frozenset()
    with kept_generators():
        found, reasons = factory.arguments(offer.model)
    offer.left_out.update(reasons)
    ranked = sorted(found, key=lambda a: (tuple(_NAMES).index(a.role), *a.rank))
    if not ranked:
        return frozenset()
    deadline = time.monotonic() + BUDGET_SECONDS
    proof = _proof(offer, factory, seconds, verdict)
    offered: list[tuple[Argument, Float]] = []
    others: list[str] = []
    for argument in ranked:
        role = argument.role
        taken = any(a.role == role for a, _ in offered)
        if space != "wide" and (taken or (space == "seed" and role == "drop_path")):
            others.append(argument.name)
        elif role in offer.current and has_place(role, find_sites(offer.model), offer.head):
            offer.left_out[argument.name] = f"neuropt.{role} stands in the config and overrules it"
        elif isinstance(proof, str):
            offer.left_out[argument.name] = proof
        elif time.monotonic() > deadline:
            offer.left_out[argument.name] = f"the {BUDGET_SECONDS:.0f} s for proving arguments were spent"
        elif role in offer.current and _overruled(offer, factory, argument):
            reason = f"neuropt.{role} stands in the config and overrules it wherever it adds layers"
            offer.left_out[argument.name] = reason
        else:
            parameter = _proved(offer, proof, argument, "" if taken else role)
            offered += [(argument, parameter)] if parameter else []
            if role in offer.current:
                dead = f"changes nothing: {type(offer.model).__name__} has no layer for it"
                offer.left_out[f"neuropt.{role}"] = dead
    if others:
        offer.left_out["other arguments"] = f"hydra.sweeper.space=wide looks at {', '.join(others)} too"
    if isinstance(proof, Proof):
        offered = _together(offer, proof, offered)
    offer.parameters += [parameter for _, parameter in offered]
    return frozenset(parameter.role for _, parameter in offered)


def _proof(offer: Offer, factory: Factory, seconds: float, verdict: Pretrained) -> Proof | str:
    """Returns what proves arguments, or why nothing can be proved."""
    if offer.seen.example is None:
        return f"cannot be proved, since {offer.seen.reason}"
    if seconds > SLOW_SECONDS:
        return f"cannot be proved, since building the model takes {seconds:.0f} s"
    names = (name for name, _ in offer.model.named_parameters())
    loaded = frozenset(names).difference(verdict.fresh) if verdict.verdict else frozenset()
    return Proof.begin(offer.model, offer.seen, factory.build, loaded)


def _proved(offer: Offer, proof: Proof, argument: Argument, role: str) -> Float | None:
    high = _highest(argument)
    reason = proof.complaint(argument.name, high)
    if reason:
        offer.left_out[argument.name] = reason
        return None
    value = argument.value if argument.written else None
    if value is None:
        value = proof.present(argument.name, high, argument.value)
    return Float(
        name=argument.name,
        low=0.0,
        high=max(high, value or 0.0),
        default=value,
        has_default=value is not None,
        role=role,
        note=_NOTES[argument.role],
    )


def _highest(argument: Argument) -> float:
    return max(_HIGHEST[argument.role], argument.value or 0.0)


def _overruled(offer: Offer, factory: Factory, argument: Argument) -> bool:
    """Tells whether surgery sets the layers that an argument adds: timm's DropPath is there from a rate above 0 on."""
    try:
        with kept_generators():
            built = factory.build({argument.name: _highest(argument)})
        return has_place(argument.role, find_sites(built), offer.head)
    except Exception:  # noqa: BLE001 - a rate that the model does not bear is for the proof to tell
        return False


def _together(offer: Offer, proof: Proof, offered: list[tuple[Argument, Float]]) -> list[tuple[Argument, Float]]:
    """Returns those that work at once, all at their highest; the last are given up first."""
    while len(offered) > 1:
        reason = proof.joint_complaint({p.name: p.high for _, p in offered})
        if not reason:
            break
        offer.left_out[offered[-1][0].name] = f"beside {offered[0][0].name}: {reason}"
        offered = offered[:-1]
    return offered
