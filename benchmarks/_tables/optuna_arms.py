"""Optuna itself as an arm: ask and tell as its documentation does, with nothing of ours between."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable

import optuna

from neuropt_core.advice import Advice, Request
from neuropt_core.space import Categorical, Float, Parameter, Value
from neuropt_core.trial import Proposal

Sampler = Callable[[int], optuna.samplers.BaseSampler]


class OptunaArm:
    """One study of Optuna's, kept over a run: trials are asked one by one and told as soon as they have a score."""

    opens = True
    """It proposes trial 0 itself."""

    def __init__(self, name: str, sampler: Sampler, *, default_first: bool) -> None:
        """`sampler` makes one from a seed; `default_first` enqueues the user's own configuration."""
        self.name, self._sampler, self._default_first = name, sampler, default_first
        self._study: optuna.Study | None = None
        self._asked: dict[int, optuna.Trial] = {}

    def propose(self, request: Request) -> Advice:
        """Tells what has ended since the last request, and asks for `request.count` more."""
        study = self._study = self._study or self._begin(request)
        for trial in request.trials:
            if trial.outcome is not None and trial.number in self._asked:
                study.tell(self._asked.pop(trial.number), trial.value)
        proposals = []
        for number in range(request.number, request.number + request.count):
            asked = self._asked[number] = study.ask()
            params: dict[str, Value] = {}
            for parameter in request.space.parameters:
                if request.space.is_active(parameter.name, params):
                    params[parameter.name] = _suggest(asked, parameter)
            proposals.append(Proposal(params, f"{self.name} asked.", "surrogate"))
        return Advice(tuple(proposals))

    def _begin(self, request: Request) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        seed = random.Random(f"{request.spec.seed}/optuna").getrandbits(32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(sampler=self._sampler(seed), direction=request.spec.direction)
        if self._default_first:
            study.enqueue_trial(request.space.defaults())
        return study


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Value:
    if isinstance(parameter, Categorical):
        choice: Value = trial.suggest_categorical(parameter.name, parameter.choices)
        return choice
    if isinstance(parameter, Float):
        return float(trial.suggest_float(parameter.name, parameter.low, parameter.high, log=parameter.log))
    return int(trial.suggest_int(parameter.name, parameter.low, parameter.high, step=parameter.step, log=parameter.log))


def tpe(seed: int) -> optuna.samplers.BaseSampler:
    """Returns TPE as its defaults are."""
    return optuna.samplers.TPESampler(seed=seed)


def gp(seed: int) -> optuna.samplers.BaseSampler:
    """Returns the Gaussian process as its defaults are."""
    return optuna.samplers.GPSampler(seed=seed)
