"""What introspection found in a model, as plain values that cross the process border and are kept in the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from neuropt_core.space import Parameter, SearchSpace, parameter_from_json


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The verdict on whether weights were loaded.

    Attributes:
        verdict: True if the model carries trained weights.
        reasons: The evidence, each in words.
        certain: False where the evidence is thin; the reasons say why.
        fresh: Names of the tensors that were not loaded (typically a new head); empty when nothing was.
    """

    verdict: bool
    reasons: tuple[str, ...] = ()
    certain: bool = True
    fresh: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters of one depth: stem first, head last.

    Attributes:
        name: A module path such as ``layer1.0``.
        tensors: How many parameter tensors it holds.
        parameters: How many numbers those hold.
    """

    name: str
    tensors: int
    parameters: int


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """All that is known of a configured model before any training.

    Attributes:
        target: The `_target_` that built it.
        parameters: Count of its parameters.
        activations: Class name -> number of layers.
        norms: Class name -> number of layers, e.g. ``{"BatchNorm": 20}``.
        dropouts: Class name -> number of layers.
        pools: Class name of a global pool -> number of layers, e.g. ``{"avg": 1}``.
        head: Module paths of the classifier, outermost; empty if none was found.
        groups: Depth groups in order, stem first, head last.
        pretrained: The verdict.
        trainable: Freeze strategy -> share of parameters that it trains, in [0, 1].
        offered: The parameters for edits and fine-tuning that are safe on this model.
        left_out: Name -> reason, for what is not offered.
        functional: Function -> calls in the model's code, which no edit of layers reaches, e.g. ``{"relu": 17}``.
    """

    target: str
    parameters: int
    activations: Mapping[str, int] = field(default_factory=dict)
    norms: Mapping[str, int] = field(default_factory=dict)
    dropouts: Mapping[str, int] = field(default_factory=dict)
    pools: Mapping[str, int] = field(default_factory=dict)
    head: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    pretrained: Pretrained = field(default_factory=lambda: Pretrained(False))
    trainable: Mapping[str, float] = field(default_factory=dict)
    offered: tuple[Parameter, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    functional: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal profile."""
        data = asdict(replace(self, offered=()))
        data["offered"] = SearchSpace(self.offered).to_json()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelProfile:
        """Makes the profile that `to_json` described."""
        fields = dict(data)
        verdict = fields["pretrained"]
        fields["pretrained"] = Pretrained(
            verdict["verdict"], tuple(verdict["reasons"]), verdict["certain"], tuple(verdict["fresh"])
        )
        fields["head"] = tuple(fields["head"])
        fields["groups"] = tuple(Group(**group) for group in fields["groups"])
        fields["offered"] = tuple(parameter_from_json(item) for item in fields["offered"])
        return cls(**fields)

    def summary(self, names: tuple[str, ...] = ()) -> str:
        """Returns the lines that are printed before a study; `names` are the search space's, as shown to people.

        The form is that of loevlie/neuropt's documentation, so that its users find what they know.
        """
        lines = [f"Introspected PyTorch model ({self.parameters:,} params):"]
        lines.append(f"  Activations: {_layers(self.activations)}")
        lines += [f"  {kind}: {count} layers" for kind, count in self.norms.items()]
        if self.dropouts:
            lines.append(f"  Dropout: {_layers(self.dropouts)}")
        if self.pools:
            lines.append(f"  Pooling: {sum(self.pools.values())} layers (current: {', '.join(self.pools)})")
        if self.functional:
            calls = ", ".join(f"{name} ({count} calls in code, not layers)" for name, count in self.functional.items())
            lines.append(f"  Out of reach: {calls}")
        p = self.pretrained
        doubt = "" if p.certain else ", uncertain"
        lines.append(
            f"  Pretrained: {'yes (fine-tuning strategies enabled' + doubt + ')' if p.verdict else 'no' + doubt}"
        )
        lines += [f"    {reason}" for reason in p.reasons]
        lines.append(f"  Head: {', '.join(self.head) or 'none found'}")
        if names:
            lines.append(f"  Search space: {list(names)}")
        lines += [f"  Left out: {name} ({reason})" for name, reason in self.left_out.items()]
        return "\n".join(lines)


def _layers(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} ({count} layers)" for kind, count in counts.items()) or "none"
