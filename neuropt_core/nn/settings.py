"""What a job's config may hold under `neuropt`, checked before anything is built upon it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from neuropt_core.errors import ConfigError
from neuropt_core.nn.edits import EditPlan
from neuropt_core.nn.freeze import BN_MODES, STRATEGIES

_EDITS = tuple(f.name for f in fields(EditPlan))
_SWITCHES = ("l2sp_regularization", "wd_norms_and_biases", "lora_dora")
_COUNTS = {
    "num_classes": "must be a whole number of 1 or more, or null",
    "lr_layer_decay_groups": "must be a whole number of 1 or more, or null",
    "lora_rank": "must be a whole number of 1 or more",
}
_OPTIONAL = ("lr", "wd")
_SHARE: tuple[str, Callable[[float], bool]] = ("must satisfy 0 <= value < 1", lambda x: 0 <= x < 1)
_NOT_NEGATIVE: tuple[str, Callable[[float], bool]] = ("must be a finite number of 0 or more", lambda x: x >= 0)
_NUMBERS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "lr_layer_decay": ("must satisfy 0 < value <= 1", lambda x: 0 < x <= 1),
    "head_lr_mult": ("must be a finite number above 0", lambda x: x > 0),
    "lp_ft_share": ("must satisfy 0 < value < 1", lambda x: 0 < x < 1),
    "label_smoothing": _SHARE,
    "warmup_share": _SHARE,
    "ema_decay": _SHARE,
    "l2sp_strength": _NOT_NEGATIVE,
    "lr": _NOT_NEGATIVE,
    "wd": _NOT_NEGATIVE,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the node `neuropt` of a job's config may hold; every default changes nothing.

    Attributes:
        edits: Changes of the architecture.
        freeze_strategy: One of `STRATEGIES`.
        num_classes: The number of outputs that the head must have; None leaves it as it is.
        lr_layer_decay: Factor of the learning rate from one depth group to the one before it, in (0, 1].
        lr_layer_decay_groups: The groups to which that factor is normalised, 1 or more; None takes it as it is.
        wd_norms_and_biases: Whether norms, biases and other vectors have weight decay too.
        head_lr_mult: The head's learning rate is so many times what it would be, above 0.
        l2sp_regularization: Whether `Tuning.penalty` pulls towards the loaded weights.
        l2sp_strength: Its factor alpha, 0 or more.
        bn_mode: What becomes of BatchNorm's running statistics, one of `BN_MODES`.
        label_smoothing: Share of the target that `Tuning.cross_entropy` spreads over all classes, in [0, 1).
        warmup_share: Share of training in which `Tuning.scheduler` raises the rates in a line, in [0, 1).
        ema_decay: How much of the weights' average `Tuning.update` keeps, in [0, 1); 0 is no average.
        lp_ft_share: Under ``lp_ft``, the share of training that the head has to itself, in (0, 1).
        lora_rank: Under ``lora``, the rank of the adapters, 1 or more; their scale is 2 whatever the rank.
        lora_dora: Whether ``lora`` also trains the length of each weight column (DoRA).
        lr: Takes the place of the rate that the script passes to `Tuning.param_groups`; for a config without one.
        wd: The same for the weight decay.
        head: Module paths of the head; None looks for it.
        example: The shape of one sample of the model's input, without the batch; None guesses.
        fresh: Tensors that were not loaded; None takes the head's.
    """

    edits: EditPlan = field(default_factory=EditPlan)
    num_classes: int | None = None
    freeze_strategy: str = "full"
    lr_layer_decay: float = 1.0
    lr_layer_decay_groups: int | None = 12
    wd_norms_and_biases: bool = False
    head_lr_mult: float = 1.0
    l2sp_regularization: bool = False
    l2sp_strength: float = 0.01
    bn_mode: str = "train"
    label_smoothing: float = 0.0
    warmup_share: float = 0.0
    ema_decay: float = 0.0
    lp_ft_share: float = 0.3
    lora_rank: int = 8
    lora_dora: bool = False
    lr: float | None = None
    wd: float | None = None
    head: tuple[str, ...] | None = None
    example: tuple[int, ...] | None = None
    fresh: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, choices in (("freeze_strategy", STRATEGIES), ("bn_mode", BN_MODES)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"neuropt.{name}", f"must be one of {list(choices)}", got=getattr(self, name))
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"neuropt.{name}", "must be true or false", got=getattr(self, name))
        for name, rule in _COUNTS.items():
            count = getattr(self, name)
            whole = isinstance(count, int) and not isinstance(count, bool) and count >= 1
            if not whole and (count is not None or "null" not in rule):
                raise ConfigError(f"neuropt.{name}", rule, got=count)
        for name, (rule, legal) in _NUMBERS.items():
            number = getattr(self, name)
            if number is None and name in _OPTIONAL:
                continue
            if not is_number(number) or not legal(number):
                raise ConfigError(f"neuropt.{name}", rule, got=number)

    @classmethod
    def read(cls, node: Mapping[str, Any]) -> Settings:
        """Makes the settings that a plain mapping holds.

        Raises:
            ConfigError: A key is unknown or a value illegal.
        """
        own = [f.name for f in fields(cls) if f.name != "edits"]
        known = [*own, *_EDITS]
        for key in node:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                mend = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(known)}."
                raise ConfigError(f"neuropt.{key}", "is not a setting of neuropt", got=node[key], mend=mend)
        values = {key: node[key] for key in own if key in node}
        if values.get("example") is not None:
            values["example"] = _shape(values["example"])
        for key in ("head", "fresh"):
            if values.get(key) is not None:
                values[key] = _names(key, values[key])
        return cls(edits=EditPlan(**{key: node[key] for key in _EDITS if key in node}), **values)


def is_number(value: object) -> bool:
    """Tells whether a value is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shape(value: Any) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not sizes or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in sizes):
        raise ConfigError("neuropt.example", "must be the shape of one sample, e.g. [3, 224, 224]", got=value)
    return sizes


def _names(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"neuropt.{key}", "must be a list of names", got=value)
    return tuple(value)
