"""The three tasks whose curves are recorded: what is searched, on which grid, and the user's own configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value, When

_RATES = (1e-5, 3.162e-5, 1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2, 3.162e-2, 1e-1)
_DECAYS = (1e-5, 1e-2, 3e-1)
_DROPOUTS = (0.0, 0.2, 0.5)

_MOVING = (When("neuropt.freeze_strategy", ("full", "gradual_unfreeze")),)


@dataclass(frozen=True, slots=True)
class CurveTask:
    """What is recorded for one task: a full factorial grid, so that a replay is exact on every point of it.

    Attributes:
        name: Names the table.
        space: The parameters as introspection and the config give them, with roles, conditions and the user's own
            values as defaults.
        levels: For each number, the values that were recorded, rising; choices are recorded all.
        config: The job's config without what is searched, in the keys of ``conf/finetune.yaml``.
        replicas: How many configurations are recorded with a second seed.
    """

    name: str
    space: SearchSpace
    levels: Mapping[str, tuple[float, ...]]
    config: Mapping[str, Any]
    replicas: int

    def axis(self, name: str) -> tuple[Value, ...]:
        """Returns the recorded values of one parameter."""
        parameter = self.space[name]
        return parameter.choices if isinstance(parameter, Categorical) else self.levels[name]

    def grid(self) -> Iterator[dict[str, Value]]:
        """Yields each configuration once, parameters that do not count left out."""
        yield from self._grow({}, self.space.names)

    def _grow(self, values: dict[str, Value], names: tuple[str, ...]) -> Iterator[dict[str, Value]]:
        if not names:
            yield values
        elif not self.space.is_active(names[0], values):
            yield from self._grow(values, names[1:])
        else:
            for value in self.axis(names[0]):
                yield from self._grow({**values, names[0]: value}, names[1:])


def _lr(rates: tuple[float, ...]) -> Float:
    return Float(name="optimizer.lr", low=rates[0], high=rates[-1], log=True, default=1e-3, has_default=True, role="lr")


def _number(name: str, role: str, levels: tuple[float, ...], default: float, *, log: bool = False, note: str = "",
            when: tuple[When, ...] = ()) -> Float:  # fmt: skip
    return Float(name=name, low=levels[0], high=levels[-1], log=log, default=default, has_default=True, role=role,
                 note=note, when=when)  # fmt: skip


def _choice(
    name: str, choices: tuple[Value, ...], default: Value, when: tuple[When, ...] = (), note: str = ""
) -> Parameter:
    role = name.rpartition(".")[2]
    return Categorical(name=name, choices=choices, default=default, has_default=True, role=role, when=when, note=note)


def _config(model: dict[str, Any], data: dict[str, Any], epochs: int, batch_size: int) -> dict[str, Any]:
    optimizer = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 1e-3, "weight_decay": 0.01}
    return {"model": model, "data": data, "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer}


def _digits_cnn() -> CurveTask:
    levels = {
        "optimizer.lr": _RATES,
        "optimizer.weight_decay": _DECAYS,
        "model.dropout": _DROPOUTS,
        "model.width": (4, 12, 36),
    }
    space = SearchSpace((
        _lr(_RATES),
        _number("optimizer.weight_decay", "wd", levels["optimizer.weight_decay"], 0.01, log=True),
        _number("model.dropout", "dropout", levels["model.dropout"], 0.0),
        Int(name="model.width", low=4, high=36, log=True, default=12, has_default=True, role="width"),
    ))  # fmt: skip
    model = {"_target_": "_curve_models.SmallCNN"}
    data = {"name": "digits", "train": 300, "val": 500, "size": 8}
    return CurveTask("digits_cnn", space, levels, _config(model, data, epochs=15, batch_size=32), replicas=100)


def _fashion_finetune() -> CurveTask:
    levels = {"optimizer.lr": _RATES[:7], "neuropt.lr_layer_decay": (0.75, 1.0)}
    strategies = ("full", "head_only", "gradual_unfreeze")
    space = SearchSpace((
        _lr(_RATES[:7]),
        _choice("neuropt.freeze_strategy", strategies, "full", note="head: _fc"),
        _number("neuropt.lr_layer_decay", "lr_layer_decay", levels["neuropt.lr_layer_decay"], 1.0, when=_MOVING,
                note="18 depth groups"),
        _choice("neuropt.l2sp_regularization", (False, True), False, _MOVING, "pull towards the loaded weights"),
        _choice("neuropt.bn_mode", ("train", "recalibrate"), "train", _MOVING,
                "statistics of 49 BatchNorm layers"),
    ))  # fmt: skip
    model = {"_target_": "models.efficientnet_lite0", "num_classes": 10}
    data = {"name": "fashion_mnist", "train": 160, "val": 240, "size": 32}
    return CurveTask("fashion_finetune", space, levels, _config(model, data, epochs=12, batch_size=16), replicas=40)


def _digits_vit() -> CurveTask:
    levels = {
        "optimizer.lr": _RATES,
        "optimizer.weight_decay": (1e-2, 3e-1),
        "model.dropout": (0.0, 0.2),
        "neuropt.label_smoothing": (0.0, 0.1),
        "neuropt.warmup_share": (0.0, 0.2),
    }
    space = SearchSpace((
        _lr(_RATES),
        _number("optimizer.weight_decay", "wd", levels["optimizer.weight_decay"], 0.01, log=True),
        _number("model.dropout", "dropout", levels["model.dropout"], 0.0),
        _number("neuropt.label_smoothing", "label_smoothing", levels["neuropt.label_smoothing"], 0.0,
                note="share of the target spread over all classes"),
        _number("neuropt.warmup_share", "warmup_share", levels["neuropt.warmup_share"], 0.0,
                note="share of training in which the rate rises in a line"),
    ))  # fmt: skip
    model = {"_target_": "_curve_models.SmallViT"}
    data = {"name": "digits", "train": 300, "val": 500, "size": 8}
    return CurveTask("digits_vit", space, levels, _config(model, data, epochs=15, batch_size=32), replicas=40)


TASKS = {task.name: task for task in (_digits_cnn(), _fashion_finetune(), _digits_vit())}
