"""Optuna's side of the surrogate: a study that is a view of our history, its samplers, and one ask."""

from __future__ import annotations

import random
import warnings
from collections.abc import Container, Mapping, Sequence
from typing import Any, NoReturn

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value

_STUDY = 0


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Returns Optuna's word for each parameter, by name."""
    return {p.name: _distribution(p) for p in space.parameters}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Categorical):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(parameter.low, _highest(parameter), parameter.log, parameter.step)


def _highest(parameter: Int) -> int:
    # Optuna wants the upper bound on the grid of the steps.
    return parameter.low + (parameter.high - parameter.low) // parameter.step * parameter.step


def frozen(
    number: int,
    params: Mapping[str, Value],
    known: Mapping[str, BaseDistribution],
    state: OptunaState = OptunaState.RUNNING,
    values: Sequence[float] | None = None,
    constraints: Mapping[str, float] | None = None,
    reported: Mapping[int, float] | None = None,
) -> FrozenTrial:
    """Returns a trial as Optuna keeps it.

    Args:
        number: Its number; Optuna's samplers take trials in this order, and weigh late ones more.
        params: A legal configuration.
        known: The `distributions` of the space.
        state: Optuna's word for what became of it.
        values: The scores, for a COMPLETE one.
        constraints: Above 0 is broken.
        reported: The values along the way, by step.
    """
    trial = optuna.trial.create_trial(
        state=state,
        values=values,
        params=dict(params),
        distributions={name: known[name] for name in params},
        intermediate_values=dict(reported or {}),
        constraints=dict(constraints or {}),
    )
    trial.number = number
    trial._trial_id = number
    return trial


class History(BaseStorage):
    """An Optuna storage that shows a list of trials and takes one trial at a time that is being asked for.

    Optuna's own storages copy each trial that is added and let none be taken back, so that a study of thousands would
    have to be built anew for each question. Here the trials are ours, and a question leaves no trace.
    """

    def __init__(self, directions: Sequence[str], trials: list[FrozenTrial]) -> None:
        """Shows `trials`: those that ended in the order of their numbers, then those that run."""
        self._directions = [StudyDirection[d.upper()] for d in directions]
        self._trials = trials
        self._running: list[FrozenTrial] = []
        self._next = 0

    def begin(self, number: int) -> None:
        """Forgets what was asked for, and gives the next question this number."""
        self._running.clear()
        self._next = number

    def add(self, trial: FrozenTrial) -> None:
        """Shows one more trial, whose number is above all others."""
        self._trials.append(trial)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Begins a trial, in answer to `Study.ask`."""
        number = self._next + len(self._running)
        self._running.append(frozen(number, {}, {}))
        return number

    def _at(self, trial_id: int) -> FrozenTrial:
        return next(t for t in self._running if t._trial_id == trial_id)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Notes what was sampled for the trial that is being asked for."""
        trial = self._at(trial_id)
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Notes what a sampler wants kept with the trial that is being asked for."""
        self._at(trial_id).system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Returns the trial that is being asked for."""
        return self._at(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[OptunaState] | None = None
    ) -> list[FrozenTrial]:
        """Returns the trials themselves: the samplers do not change them, and say so by `deepcopy=False`."""
        everything = self._trials + self._running
        return everything if states is None else [t for t in everything if t.state in states]

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Returns the only study's id."""
        return _STUDY

    def get_study_id_from_name(self, study_name: str) -> int:
        """Returns the only study's id."""
        return _STUDY

    def get_study_name_from_id(self, study_id: int) -> str:
        """Returns the only study's name."""
        return "history"

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Returns the direction of each objective."""
        return self._directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Returns nothing: a view holds no notes."""
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Returns nothing: a view holds no notes."""
        return {}

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError("A view of our history is asked, never told: the journal is the truth.")

    delete_study = set_study_user_attr = set_study_system_attr = get_all_studies = _refuse
    set_trial_state_values = set_trial_intermediate_value = set_trial_user_attr = _refuse


def study_on(history: History, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """Returns a study whose trials are those of `history`."""
    return optuna.Study("history", history, sampler)


def seed_of(seed: int, number: int) -> int:
    """Returns the sampler's seed for a trial: Optuna takes a whole number below 2**32."""
    return random.Random(f"{seed}/{number}/surrogate").getrandbits(32)


def tpe(seed: int, startup: int) -> optuna.samplers.BaseSampler:
    """Returns TPE that draws parameters together, sees conditions, and keeps away from trials that run.

    Args:
        seed: The source of its chance.
        startup: How many trials must have ended before it does more than draw at random.
    """
    with warnings.catch_warnings():
        # `group` is what makes TPE see conditions; Optuna has called it experimental since 2.8.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=startup, multivariate=True, group=True, constant_liar=True, seed=seed
        )


def gp(seed: int) -> optuna.samplers.BaseSampler:
    """Returns the Gaussian process with expected improvement; needs torch and scipy, which load with the first ask."""
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=1, warn_independent_sampling=False)


def suggestion(study: optuna.Study, space: SearchSpace) -> dict[str, Value]:
    """Returns what the study's sampler proposes next, as a legal configuration."""
    trial = study.ask()
    params: dict[str, Value] = {}
    level = optuna.logging.get_verbosity()
    # The Gaussian process warns where greenlet is not installed, which would spare it tenths of a second.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        for parameter in space.parameters:
            if space.is_active(parameter.name, params):
                params[parameter.name] = _suggest(trial, parameter)
    finally:
        optuna.logging.set_verbosity(level)
    return params


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Value:
    if isinstance(parameter, Categorical):
        value: Value = trial.suggest_categorical(parameter.name, list(parameter.choices))
        return value
    if isinstance(parameter, Float):
        number = trial.suggest_float(parameter.name, parameter.low, parameter.high, log=parameter.log)
        # Four digits are what a reader can compare; the bounds stay inside.
        rounded = float(f"{number:.4g}")
        return rounded if parameter.low <= rounded <= parameter.high else number
    high = _highest(parameter)
    return int(trial.suggest_int(parameter.name, parameter.low, high, step=parameter.step, log=parameter.log))
