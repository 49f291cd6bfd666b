"""Lightning's trainer: its logged metrics become the curve, and a trial that is to stop leaves `fit` as it should."""

from __future__ import annotations

import functools
import importlib
import logging
import math
import operator
import sys
from collections.abc import Mapping
from typing import Any

from neuropt_core.errors import ConfigError, MissingExtraError, TrialPruned
from neuropt_core.runtime.build import Tuning, tune
from neuropt_core.runtime.report import report
from neuropt_core.ticket import Ticket

_log = logging.getLogger(__name__)
_PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""The same library under two names, with two classes `Callback`; a trainer knows its own only."""


class NeuroptCallback:
    """Reports what the module logs, ends a trial that is to stop, and steps the trial's `Tuning`.

    ``Trainer(callbacks=[NeuroptCallback()])`` is the whole of it, for ``lightning`` and ``pytorch_lightning`` alike: an
    instance is a ``Callback`` of whichever of the two is imported.

    Each validation is one point of the curve, numbered from 0; without a validation, each epoch is. Where a validation
    ends an epoch, what the training steps log for the epoch stands beside it; ``step``, the axis of its loggers,
    is no metric. The sanity check is no point. Outside a sweep nothing is reported; the tuning is stepped all the same.

    Args:
        tuning: The helpers of ``neuropt_core.build`` or ``tune``. Each epoch begins with `step`, each optimizer step
            ends with `update`; the other helpers are called by the module itself. Without it, an attribute `tuning` of
            the module is taken, if that is one.
        model: Where the network is in the module, e.g. ``net``; with it the callback edits and freezes that
            network by `settings`, before the optimizers are made: for a configuration without a line of code.
        settings: What stands under ``neuropt`` in the job's config, e.g. ``${neuropt}``.

    Raises:
        ConfigError: Both a tuning and a `model` are given, or settings without a `model`.
        MissingExtraError: Neither package is installed.
    """

    def __new__(cls, *_: Any, **__: Any) -> NeuroptCallback:
        """Makes an instance of a class that is Lightning's `Callback` as well."""
        made: NeuroptCallback = object.__new__(_joined(cls))
        return made

    def __init__(
        self, tuning: Tuning | None = None, *, model: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        where = "neuropt_core.integrations.lightning.NeuroptCallback"
        if tuning is not None and model is not None:
            raise ConfigError(where, "takes a tuning or a model to tune, not both")
        if settings is not None and model is None:
            raise ConfigError(
                where, "needs to know which model the settings are for", mend="Name the module's attribute: model=net."
            )
        self.tuning, self.model, self.settings = tuning, model, settings
        self._given = tuning
        self._trial: str | None = None
        self._step = 0
        self._validated: set[str] = set()
        self._before: frozenset[str] = frozenset()
        self._pending: dict[str, float] = {}
        self._ended = False
        self._updates = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # The class was made for this process, and a strategy that spawns others pickles its callbacks.
        kind = type(self)
        return _remade, (kind.__bases__[0] if _MADE in vars(kind) else kind, self.__dict__)

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps, so that a training that goes on from it numbers its points on."""
        return {"step": self._step, "validated": sorted(self._validated), "pending": dict(self._pending)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes that back."""
        self._step, self._validated = state_dict["step"], set(state_dict["validated"])
        self._pending = dict(state_dict["pending"])

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Edits and freezes the network, if it was told which one; it is on the CPU yet, without an optimizer."""
        ticket = Ticket.current()
        trial = None if ticket is None else str(ticket.path)
        if self._trial is not None and trial != self._trial:  # One instance for all trials of a process.
            self._step, self._validated, self._pending, self.tuning = 0, set(), {}, self._given
        self._trial = trial
        if self.tuning is None and self.model is not None:
            try:
                model = operator.attrgetter(self.model)(pl_module)
            except AttributeError:
                rule = f"must name an attribute of {type(pl_module).__name__}"
                raise ConfigError("NeuroptCallback: model", rule, got=self.model) from None
            self.tuning = tune(model, self.settings)
        if self.tuning is None and isinstance(own := getattr(pl_module, "tuning", None), Tuning):
            self.tuning = own

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Steps the tuning, since a training that goes on within an epoch does not start that epoch."""
        self._updates = trainer.global_step
        self._tune(trainer)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Reports the epoch before, by now with all that was logged at its end, and steps the tuning."""
        self._flush(trainer)
        self._tune(trainer)

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        """Reports a validation within the epoch; by now the checkpoint that it led to is written."""
        self._flush(trainer)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Takes the weights into their average after each step of the optimizer."""
        if self.tuning is not None and trainer.global_step != self._updates:
            self._updates = trainer.global_step
            self.tuning.update()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Notes which metrics were there before."""
        if _fits(trainer):
            self._before = frozenset(trainer.callback_metrics)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Keeps what was validated until training goes on, or until its epoch has ended."""
        if _fits(trainer):
            found = _numbers(trainer)
            self._validated |= found.keys() - self._before
            self._pending = {name: value for name, value in found.items() if name in self._validated}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Puts the training's metrics beside a validation that ended the epoch."""
        if self._pending or not trainer.enable_validation:
            self._pending, self._ended = _numbers(trainer), True

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Reports the last point, and says if there was none."""
        self._flush(trainer)
        if self._step == 0 and Ticket.current() is not None and trainer.is_global_zero:
            _log.warning('The trial has no curve, since the module logs no number: self.log("val_loss", ...).')

    def _flush(self, trainer: Any) -> None:
        metrics, self._pending = self._pending, {}
        if self._ended:
            # What the module logs in its own `on_train_epoch_end` comes after the callbacks' hook.
            metrics, self._ended = metrics | _numbers(trainer), False
        if Ticket.current() is None:
            return
        told = bool(metrics)
        if trainer.world_size > 1:
            # Metrics that only the first rank logs: the others must report as well, to learn that they are to stop.
            told = trainer.strategy.broadcast(told)
        if not told:
            return
        step, self._step = self._step, self._step + 1
        try:
            report(step, **(metrics or {"rank": trainer.global_rank}))
        except TrialPruned as stop:
            _log.info("The trial stops: %s", stop.where)
            if _was_launched(trainer):
                raise SystemExit(0) from None
            raise

    def _tune(self, trainer: Any) -> None:
        if self.tuning is not None:
            self.tuning.step(_progress(trainer))


_MADE = "_neuropt_made"


def _remade(kind: type[NeuroptCallback], state: dict[str, Any]) -> NeuroptCallback:
    made: NeuroptCallback = object.__new__(_joined(kind))
    made.__dict__.update(state)
    return made


def _joined(kind: type[NeuroptCallback]) -> type[NeuroptCallback]:
    names = [name for name in _PACKAGES if name in sys.modules] or list(_PACKAGES)
    bases = []
    for name in names:
        try:
            bases.append(importlib.import_module(name).Callback)
        except ModuleNotFoundError as error:
            if error.name not in (name, name.partition(".")[0]):
                raise
    if not bases:
        raise MissingExtraError(__name__, "needs lightning or pytorch-lightning", mend="pip install lightning")
    return _class(kind, tuple(bases))  # type: ignore[arg-type]


@functools.cache
def _class(kind: type[NeuroptCallback], bases: tuple[type, ...]) -> type[NeuroptCallback]:
    missing = tuple(base for base in bases if not issubclass(kind, base))
    return type(kind.__name__, (kind, *missing), {_MADE: True, "__module__": kind.__module__}) if missing else kind


def _fits(trainer: Any) -> bool:
    return trainer.state.fn == "fit" and not trainer.sanity_checking


def _numbers(trainer: Any) -> dict[str, float]:
    # `self.log("step", ...)` is how Lightning's loggers are told their axis; it measures nothing.
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name != "step"}


def _progress(trainer: Any) -> float:
    """Returns the share of training that is behind, by epochs or by steps, whichever will end it first."""
    shares: list[float] = [
        done / limit
        for done, limit in ((trainer.current_epoch, trainer.max_epochs), (trainer.global_step, trainer.max_steps))
        if limit is not None and limit > 0
    ]
    if not shares:
        where = "NeuroptCallback: tuning"
        raise ConfigError(where, "needs to know how long training is", mend="Set max_epochs or max_steps.")
    return min(max(shares), math.nextafter(1.0, 0.0))


def _was_launched(trainer: Any) -> bool:
    """Tells whether Lightning's own launcher started this process, as `python train.py` beside the first one.

    Nobody there knows `TrialPruned`; and where a process ends with an error, the launcher kills the first one, which
    may not have said by then what became of the trial.
    """
    environment, launcher = getattr(trainer.strategy, "cluster_environment", None), trainer.strategy.launcher
    kinds = type(environment).__name__, type(launcher).__name__
    return kinds == ("LightningEnvironment", "_SubprocessScriptLauncher") and trainer.local_rank > 0
