"""The sections of `results.yaml` that only some studies have: Pareto front, constraints, cost, importance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neuropt_core.sinks._objectives import against_time, broken, front, gained
from neuropt_core.sinks.base import Scene
from neuropt_core.space import Value
from neuropt_core.trial import Trial


def further_sections(scene: Scene) -> list[tuple[str, dict[str, Any]]]:
    """Returns the sections that only some studies have."""
    sections: list[tuple[str, dict[str, Any]]] = []
    if scene.spec.further:
        comment = (
            "The Pareto front: trials that no other beats in all objectives, none breaking a constraint. `best` is\n"
            "# the balanced one of them, whose worst rank in any objective is the best."
        )
        sections.append((comment, {"pareto_front": [_point(scene, t) for t in front(scene)]}))
    if scene.spec.constraints:
        comment = "Trials with a score that break a constraint, and by how much."
        found = [{"number": t.number, "value": values(t), "breaks": breaks_what(scene, t)} for t in scene.trials]
        sections.append((comment, {"infeasible": [entry for entry in found if entry["breaks"]]}))
    if scene.spec.cost_aware:
        comment = (
            "Score against time: trials that no other beats in both. `gained_per_second` is by how much the (first)\n"
            "# score is better than trial 0's, for each second that the trial ran."
        )
        sections.append((comment, {"score_against_time": [_timed(scene, t) for t in against_time(scene)]}))
    if scene.importance:
        comment = "The share of each parameter in what made trials good (PED-ANOVA), as far as these trials tell."
        ranked = sorted(scene.importance.items(), key=lambda item: (-item[1], item[0]))
        sections.append((comment, {"importance": {str(name): round(float(share), 4) for name, share in ranked}}))
    return sections


def _point(scene: Scene, trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "values": [float(value) for value in trial.values],
        "params": scalars(trial.params),
        "command": scene.reproduce(trial),
    }


def _timed(scene: Scene, trial: Trial) -> dict[str, Any]:
    seconds = 0.0 if trial.outcome is None else round(trial.outcome.seconds, 3)
    return {
        "number": trial.number,
        "value": values(trial),
        "seconds": seconds,
        "gained_per_second": scalar(gained(scene, trial)),
    }


def values(trial: Trial | None) -> Any:
    """Returns a trial's score; of several objectives all of them."""
    if trial is None or trial.value is None:
        return None
    return [float(value) for value in trial.values] if len(trial.values) > 1 else scalar(trial.value)


def breaks_what(scene: Scene, trial: Trial) -> str:
    """Returns which constraints a trial breaks, and by how much; "" if none."""
    return broken(scene.spec, trial).removeprefix("breaks ")


def scalars(params: Mapping[str, Value]) -> dict[str, Value]:
    """Returns values as `scalar` does, by name."""
    return {str(name): scalar(value) for name, value in params.items()}


def scalar(value: Value) -> Value:
    """Returns a value as a plain one that YAML can write."""
    # Subclasses (NumPy's float64 is a float, an enum may be a str) would be tagged as Python objects or refused.
    kinds: tuple[Callable[[Any], Value], ...] = (int, float, str)
    if value is None or isinstance(value, bool):
        return value
    return next(kind(value) for kind in kinds if isinstance(value, kind))  # type: ignore[arg-type]
