"""Hugging Face's trainer: its evaluations become the curve, and a trial that is to stop ends the training tidily."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from neuropt_core.errors import ConfigError, TrialPruned
from neuropt_core.runtime.build import Tuning
from neuropt_core.runtime.report import report
from neuropt_core.ticket import Ticket

_SPEEDS = ("_runtime", "_per_second", "_compilation_time")
"""How the names end of what says how fast the machine was, not how good the model is."""


class NeuroptCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Reports each evaluation, ends a trial that is to stop, and steps the trial's `Tuning`.

    ``Trainer(callbacks=[NeuroptCallback()])`` is the whole of it, for every trainer of the library. Each evaluation
    during training is one point of the curve, numbered from 0, with all ``eval_`` metrics and the newest training
    ``loss``; without evaluations each logged ``loss`` is one. Evaluations before and after the training are none.

    A trial that is to stop stops training at that evaluation; once the trainer's other callbacks have ended their runs
    and ``train()`` is about to return, `TrialPruned` is raised there. Outside a sweep nothing is reported; the tuning
    is stepped all the same.

    Args:
        tuning: The helpers of ``neuropt_core.build`` or ``tune``. Each epoch begins with `step`, each optimizer step
            ends with `update`; hand its `param_groups` to the trainer in ``optimizers=``.
    """

    def __init__(self, tuning: Tuning | None = None) -> None:
        self.tuning = tuning
        self._stopped: TrialPruned | None = None
        self._trains = False
        self._evaluates = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begins to count evaluations; one that is asked for outside of training is no point of the curve."""
        self._trains, self._stopped = True, None
        self._evaluates = str(getattr(args.eval_strategy, "value", args.eval_strategy)) != "no"

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Steps the tuning."""
        if self.tuning is None:
            return
        if not 0 < state.max_steps < math.inf:
            raise ConfigError("NeuroptCallback: tuning", "needs to know how long training is", got=state.max_steps)
        self.tuning.step(min(state.global_step / state.max_steps, math.nextafter(1.0, 0.0)))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Takes the weights into their average."""
        if self.tuning is not None:
            self.tuning.update()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Reports the training loss where nothing is evaluated."""
        if self._trains and not self._evaluates and "loss" in (logs or {}):
            self._report(state, control, "loss", {})

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Reports an evaluation; of several data sets, each reports at the same step."""
        if self._trains and state.global_step > 0:
            found = {name: value for name, value in (metrics or {}).items() if _counts(name, value)}
            if found:
                self._report(state, control, "eval_", found)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leaves ``train()`` if the trial was to stop; the trainer calls the callbacks of trackers before this one.

        Raises:
            TrialPruned: The trial was told to stop.
        """
        self._trains = False
        if self._stopped is not None:
            raise self._stopped

    def _report(self, state: TrainerState, control: TrainerControl, kind: str, metrics: dict[str, Any]) -> None:
        if Ticket.current() is None or self._stopped is not None:
            return
        # Counted in the state, which the trainer's checkpoints hold: a training that goes on from one counts on.
        points = {entry["step"] for entry in state.log_history if any(name.startswith(kind) for name in entry)}
        seen = next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), None)
        loss = {} if seen is None else {"loss": seen}
        try:
            report(len(points - {0}) - 1, **loss, **metrics)
        except TrialPruned as stop:
            self._stopped = stop
            control.should_training_stop = True


def _counts(name: str, value: Any) -> bool:
    number = isinstance(value, (int, float)) or hasattr(value, "item")
    return name.startswith("eval_") and number and not isinstance(value, bool) and not name.endswith(_SPEEDS)
