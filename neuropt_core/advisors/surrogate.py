"""The surrogate: Optuna's TPE, rebuilt from the history at every request."""

from __future__ import annotations

import random
import statistics
import warnings
from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState as OptunaState

from neuropt_core.advice import Advice, Request
from neuropt_core.advisors.chance import differences, draw
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value
from neuropt_core.trial import Proposal, Trial, TrialState

_STARTUP = 5
_TRIES = 10


class SurrogateAdvisor:
    """TPE with the tree of conditions taken into account and running trials avoided.

    Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; the multivariate and grouped
    forms are Optuna's. A trial that failed is told with the running 90th percentile of the scores, which keeps
    the sampler away from it without teaching it a false magnitude.
    """

    name = "Optuna's TPE (not an LLM)"

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` proposals; a function of the request, chance included."""
        study = _rebuild(request)
        taken = [dict(trial.params) for trial in request.trials]
        best = next(iter(request.ranked), None)
        proposals = []
        for number in range(request.number, request.number + request.count):
            params = _ask(study, request.space, taken)
            if params is None:
                params = draw(request.space, request.spec.seed, number)
            taken.append(params)
            proposals.append(Proposal(params, _rationale(params, best, request), "surrogate"))
        return Advice(tuple(proposals))


def _rationale(params: Mapping[str, Value], best: Trial | None, request: Request) -> str:
    if best is None:
        return "Random draw by Optuna's TPE, which has no scored trial to learn from yet."
    scored = len(request.ranked)
    how = f"Optuna's TPE on {scored} scored trials" if scored >= _STARTUP else "Random draw while TPE warms up"
    changes = differences(params, best.params, request.space)
    return f"{how}; against the best, trial {best.number}, it changes {changes}."


def _rebuild(request: Request) -> optuna.Study:
    # Optuna's sampler takes a whole number as its seed; this one depends on the study and the trial alone.
    seed = random.Random(f"{request.spec.seed}/{request.number}").getrandbits(32)
    with warnings.catch_warnings():
        # `group` is what makes TPE see conditions; Optuna has called it experimental since 2.8.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=_STARTUP, multivariate=True, group=True, constant_liar=True, seed=seed
        )
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(sampler=sampler, direction=request.spec.direction)
    finally:
        optuna.logging.set_verbosity(level)
    distributions = {p.name: _distribution(p) for p in request.space.parameters}
    bad = _percentile_90(request)
    for trial in request.trials:
        # The user's own configuration may lie outside the space, or lack a parameter: TPE cannot hold that.
        if not request.space.check(trial.params):
            study.add_trial(_frozen(trial, distributions, bad))
    return study


def _frozen(trial: Trial, distributions: Mapping[str, BaseDistribution], bad: float | None) -> optuna.trial.FrozenTrial:
    own = {name: distributions[name] for name in trial.params}
    value = bad if trial.value is None else trial.value
    if trial.state is TrialState.RUNNING or value is None:
        return optuna.trial.create_trial(state=OptunaState.RUNNING, params=dict(trial.params), distributions=own)
    return optuna.trial.create_trial(value=value, params=dict(trial.params), distributions=own)


def _percentile_90(request: Request) -> float | None:
    scores = [t.value for t in request.ranked if t.value is not None]
    if len(scores) < 2:
        return scores[0] if scores else None
    # `ranked` is best first whatever the direction, so the 90th percentile of badness lies near its end.
    deciles = statistics.quantiles(scores, n=10, method="inclusive")
    return deciles[-1] if request.spec.direction == "minimize" else deciles[0]


def _ask(study: optuna.Study, space: SearchSpace, taken: list[dict[str, Value]]) -> dict[str, Value] | None:
    """Returns a configuration that nobody has tried, or None after some tries (a small space may be used up)."""
    for _ in range(_TRIES):
        trial = study.ask()
        params: dict[str, Value] = {}
        for parameter in space.parameters:
            if space.is_active(parameter.name, params):
                params[parameter.name] = _suggest(trial, parameter)
        if not any(space.alike(params, tried) for tried in taken):
            return params
    return None


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


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Categorical):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(parameter.low, _highest(parameter), parameter.log, parameter.step)


def _highest(parameter: Int) -> int:
    # Optuna wants the upper bound on the grid of the steps.
    return parameter.low + (parameter.high - parameter.low) // parameter.step * parameter.step
