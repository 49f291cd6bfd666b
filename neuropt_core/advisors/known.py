"""The configurations that are there, such that a new one is told from thousands without a look at each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neuropt_core.advisors.beliefs import place_of
from neuropt_core.space import Float, SearchSpace, Value

_CELLS = 50
"""Of a real number's range: two configurations that are alike lie in the same or in neighbouring cells."""

_Key = tuple[tuple[object, ...], int]


class Known:
    """Configurations, sorted by their choices and whole numbers and by the cell of their first real number."""

    def __init__(self, space: SearchSpace, configurations: Iterable[Mapping[str, Value]] = ()) -> None:
        """Begins with some configurations, which may be alike or illegal, as the user's own may be."""
        self._space = space
        self._plans: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
        self._cells: dict[_Key, list[Mapping[str, Value]]] = {}
        self._floats = {p.name: p for p in space.parameters if isinstance(p, Float)}
        for params in configurations:
            self._cells.setdefault(self._key(params), []).append(params)

    def add(self, params: Mapping[str, Value]) -> bool:
        """Adds a configuration unless one that is there is alike; tells whether it was new."""
        exact, cell = self._key(params)
        for beside in (cell - 1, cell, cell + 1):
            if any(self._space.alike(params, other) for other in self._cells.get((exact, beside), ())):
                return False
        self._cells.setdefault((exact, cell), []).append(dict(params))
        return True

    def _key(self, params: Mapping[str, Value]) -> _Key:
        names = tuple(params)
        plan = self._plans.get(names)
        if plan is None:  # Thousands of configurations hold the same few sets of parameters.
            ordered = sorted(names)
            plan = [n for n in ordered if n not in self._floats], [n for n in ordered if n in self._floats]
            self._plans[names] = plan
        exact: list[object] = [frozenset(names)]
        for name in plan[0]:
            value = params[name]
            exact += (type(value), value)
        for name in plan[1]:
            value = params[name]
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return tuple(exact), int(place_of(self._floats[name], value) * _CELLS)
        return tuple(exact), -1
