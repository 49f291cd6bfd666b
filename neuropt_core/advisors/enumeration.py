"""All configurations of a small space, one by one, for when chance finds nothing new any more."""

from __future__ import annotations

from collections.abc import Iterator

from neuropt_core.advisors.beliefs import at
from neuropt_core.space import Categorical, Int, Parameter, SearchSpace, Value

_POINTS = 101
_MOST = 50_000


def configurations(space: SearchSpace) -> Iterator[dict[str, Value]]:
    """Yields the configurations of a space, real numbers and long ranges in hundredths; the last parameter fastest.

    Of a space that is not small only some come: the search ends after 50,000 steps.
    """
    stack: list[tuple[int, dict[str, Value]]] = [(0, {})]
    for _ in range(_MOST):
        if not stack:
            return
        index, params = stack.pop()
        if index == len(space):
            yield params
            continue
        parameter = space.parameters[index]
        if space.is_active(parameter.name, params):
            stack += [(index + 1, {**params, parameter.name: value}) for value in reversed(_levels(parameter))]
        else:
            stack.append((index + 1, params))


def _levels(parameter: Parameter) -> list[Value]:
    if isinstance(parameter, Categorical):
        return list(parameter.choices)
    if isinstance(parameter, Int) and (parameter.high - parameter.low) // parameter.step < _POINTS:
        return list(range(parameter.low, parameter.high + 1, parameter.step))
    return list(dict.fromkeys(at(parameter, i / (_POINTS - 1)) for i in range(_POINTS)))
