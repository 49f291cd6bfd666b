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
        exact: list[object] = []
        cell = -1
        for name in sorted(params):
            value, parameter = params[name], self._floats.get(name)
            exact.append(name)
            if parameter is None:
                exact += (type(value), value)
            elif cell < 0 and isinstance(value, (int, float)) and not isinstance(value, bool):
                cell = int(place_of(parameter, value) * _CELLS)
        return tuple(exact), cell
