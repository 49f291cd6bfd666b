"""What introspection found in a model, as plain values that cross the process border and are kept in the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from neuropt_core.space import Parameter, SearchSpace, Value, parameter_from_json

_LAST = (
    "freeze_strategy", "lp_ft_share", "lora_rank", "lr_layer_decay", "head_lr_mult", "l2sp_regularization",
    "l2sp_strength", "bn_mode", "label_smoothing", "warmup_share", "ema_decay",
)  # fmt: skip
"""Roles of what fine-tuning and training can vary."""


def in_order(offered: Sequence[Parameter], roles: Sequence[Parameter]) -> list[Parameter]:
    """Returns what a model offers and the rates, in the order in which loevlie/neuropt names them.

    The model's own parameters come first, then the optimizer's, then those of fine-tuning and training.
    """
    last = [p for p in offered if p.role in _LAST]
    return [p for p in offered if p not in last] + [*roles, *last]


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
class Facts:
    """What a model costs and what it is made of.

    Costs are those of one sample. Where its shape was guessed they tell the order of magnitude and compare models;
    another input size costs otherwise.

    Attributes:
        input_kind: ``image``, ``volume``, ``signal``, ``sequence``, ``vector`` or ``tokens``; "" if nothing ran.
        input_shape: Shape of one sample, e.g. ``(3, 64, 64)``.
        guessed: Whether that shape was guessed.
        flops: Operations of one forward pass; a multiplication with its addition counts as two. None if not known.
        activation_bytes: What autograd keeps of one forward pass when all is trained. None if not known.
        depth: Layers with parameters (norms are such) on the longest path from the input to an output; 0 if not known.
        depth_groups: How many depth groups there are.
        families: Family -> share of the parameters, in [0, 1], the largest first.
        work: Family -> share of the FLOPs, in [0, 1]; empty if these are not known.
        mainly: The family that mixes places, tokens or steps; ``mlp`` or ``embedding`` where none does; "" if unknown.
        weight_bytes: Data type -> bytes of the parameters and buffers of that type.
        adam_bytes: Bytes of Adam's two moments for all parameters that ask for a gradient.
        missing: Name of what is None -> the reason.
    """

    input_kind: str = ""
    input_shape: tuple[int, ...] = ()
    guessed: bool = True
    flops: int | None = None
    activation_bytes: int | None = None
    depth: int = 0
    depth_groups: int = 0
    families: Mapping[str, float] = field(default_factory=dict)
    work: Mapping[str, float] = field(default_factory=dict)
    mainly: str = ""
    weight_bytes: Mapping[str, int] = field(default_factory=dict)
    adam_bytes: int = 0
    missing: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Facts:
        """Makes the facts that `dataclasses.asdict` wrote down."""
        return cls(**{**data, "input_shape": tuple(data["input_shape"])})

    def lines(self, *, reasons: bool = True) -> tuple[str, str]:
        """Returns the facts in two lines: what a sample costs, and what the model is made of.

        Args:
            reasons: Whether to say why something is not known; the words of the model's own exceptions are among them.
        """
        amounts = {
            "flops": (self.flops, "FLOPs forward"),
            "activation_bytes": (self.activation_bytes, "B of activations to train"),
        }
        costs = [f"{scaled(amount)}{unit}" for amount, unit in amounts.values() if amount is not None]
        unknown: dict[str, list[str]] = {}
        for name, words in (("flops", "FLOPs"), ("activation_bytes", "activations")):
            if amounts[name][0] is None:
                unknown.setdefault(self.missing.get(name, "not measured"), []).append(words)
        for reason, names in unknown.items():
            costs.append(f"{' and '.join(names)} not known{f' ({reason})' if reasons else ''}")
        first = "; ".join(costs)
        if self.input_kind:
            size = "x".join(map(str, self.input_shape)) + (", guessed" if self.guessed else "")
            first = f"on one sample ({self.input_kind} {size}; a multiply-add is two FLOPs): {first}"
        weights = ", ".join(f"{scaled(count)}B {dtype}" for dtype, count in self.weight_bytes.items()) or "none"
        made = ", ".join(f"{name} {100 * share:.3g} %" for name, share in self.families.items()) or "none"
        depth = f"{self.depth} layers deep, " if self.depth else ""
        second = (
            f"{f'mainly {self.mainly}; ' if self.mainly else ''}parameters: {made}; {depth}{self.depth_groups} depth "
            f"groups; weights: {weights}; Adam adds {scaled(self.adam_bytes)}B"
        )
        return first, second


def scaled(number: int) -> str:
    """Returns three digits and a decimal prefix, e.g. ``3.63 G``."""
    for power, prefix in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{number / 10**power:.3g} {prefix}"
    return f"{number} "


@dataclass(frozen=True, slots=True)
class Touched:
    """What a setting works on.

    Attributes:
        name: The parameter's name, e.g. ``neuropt.activation``.
        value: The choice that is told of, e.g. ``gelu``; None where it is the same for every value.
        what: What happens there, in words, e.g. ``ReLU -> GELU``.
        paths: Module paths of the layers, in the model's order; empty where no layer is meant.
        parameters: How many numbers are trained, or pulled, there; None where that is not what the setting is about.
    """

    name: str
    value: Value
    what: str
    paths: tuple[str, ...] = ()
    parameters: int | None = None


@dataclass(frozen=True, slots=True)
class EstimatorFacts:
    """What an estimator in the style of scikit-learn is.

    Attributes:
        name: Its class, e.g. ``RandomForestClassifier``.
        library: Where that comes from, e.g. ``scikit-learn``.
        arguments: Argument -> present value as text, those of its parts included; of what is no scalar the class,
            and of a text too where the library is not known.
    """

    name: str
    library: str
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """In words, e.g. ``scikit-learn estimator RandomForestClassifier (20 arguments)``."""
        return f"{self.library} estimator {self.name} ({len(self.arguments)} arguments)"


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
        facts: What it costs and what it is made of; None where it was not looked into.
        functional: Function -> calls in the model's code, which no edit of layers reaches, e.g. ``{"relu": 17}``.
        touched: What each offered setting works on; empty unless it was asked for, as people ask and no study does.
        estimator: What it is where it is no torch model but an estimator; what speaks of layers is then empty.
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
    facts: Facts | None = None
    functional: Mapping[str, int] = field(default_factory=dict)
    touched: tuple[Touched, ...] = ()
    estimator: EstimatorFacts | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal profile."""
        data = asdict(replace(self, offered=(), touched=()))
        data["offered"] = SearchSpace(self.offered).to_json()
        data["touched"] = [asdict(item) for item in self.touched]
        return data if self.touched else {key: value for key, value in data.items() if key != "touched"}

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
        fields["touched"] = tuple(Touched(**{**t, "paths": tuple(t["paths"])}) for t in fields.get("touched", ()))
        facts = fields.get("facts")  # Studies from before there were any have none.
        fields["facts"] = None if facts is None else Facts.from_json(facts)
        estimator = fields.get("estimator")
        fields["estimator"] = None if estimator is None else EstimatorFacts(**estimator)
        return cls(**fields)

    def summary(self, names: tuple[str, ...] = ()) -> str:
        """Returns the lines that are printed before a study; `names` are the search space's, as shown to people.

        The form is that of loevlie/neuropt's documentation, so that its users find what they know.
        """
        if self.estimator is not None:
            return "\n".join(_estimator_lines(self.estimator, self.left_out, names))
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
        if self.trainable:
            shares = (f"{name} {100 * share:.3g} %" for name, share in self.trainable.items())
            lines.append(f"  Trainable: {', '.join(shares)}")
        if self.facts is not None:
            lines += [
                f"  {title}: {text}" for title, text in zip(("Costs", "Made of"), self.facts.lines(), strict=True)
            ]
        lines += [f"  Left out: {name} ({reason})" for name, reason in self.left_out.items()]
        return "\n".join(lines)


def _layers(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} ({count} layers)" for kind, count in counts.items()) or "none"


def _estimator_lines(estimator: EstimatorFacts, left_out: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    """Returns the summary of an estimator; arguments that are left out for one reason share a line."""
    lines = [f"Introspected {estimator.title}:"]
    if names:
        lines.append(f"  Search space: {list(names)}")
    alike: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        alike.setdefault(reason, []).append(name)
    return lines + [f"  Left out: {', '.join(group)} ({reason})" for reason, group in alike.items()]
