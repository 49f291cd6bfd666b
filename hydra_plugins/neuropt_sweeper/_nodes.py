"""Where things stand in a config as it is written: paths through mappings and lists, and plain interpolations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hydra_plugins.neuropt_sweeper._roles import source_of

Path = tuple[str, ...]
"""Where something stands below a node: the keys on the way down, list indices among them."""

_ABSENT = object()


def located(
    raw: Mapping[str, object], path: Path, own: Collection[str], seen: frozenset[Path] = frozenset()
) -> Path | None:
    """Follows plain interpolations, ``${a.b}``, on the way down; returns where the end of `path` really stands.

    As with the roles, what reads another key is set there, so that all that reads it moves along; another kind of
    interpolation at the very end is replaced by an override, on the way it is a dead end.
    """
    place: Any = raw
    key: Path = ()
    for i, step in enumerate(path):
        place, key = _child(place, step), (*key, step)
        if not isinstance(place, str) or "${" not in place or ".".join(key) in own:
            continue
        source = tuple(source_of(place).split("."))
        if key not in seen and _at(raw, source) is not _ABSENT:
            return located(raw, (*source, *path[i + 1 :]), own, seen | {key})
        if i + 1 < len(path):
            return None
    return key


def _at(raw: Mapping[str, object], path: Path) -> Any:
    place: Any = raw
    for step in path:
        place = _child(place, step)
    return place


def _child(place: Any, step: str) -> Any:
    if isinstance(place, Mapping):
        return place.get(step, _ABSENT)
    if isinstance(place, list) and step.isdigit() and int(step) < len(place):
        return place[int(step)]
    return _ABSENT


def mappings(node: Any, path: Path = ()) -> Iterator[tuple[Path, dict[Any, Any]]]:
    """Yields each mapping at or below a node, with where it stands."""
    if isinstance(node, dict):
        yield path, node
    for step, child in _items(node):
        yield from mappings(child, (*path, step))


def leaves_of(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yields each value below a node that is no mapping or list, with where it stands."""
    for step, child in _items(node):
        if isinstance(child, (dict, list)):
            yield from leaves_of(child, (*path, step))
        else:
            yield (*path, step), child


def _items(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        yield from ((str(key), child) for key, child in node.items())
    elif isinstance(node, list):
        yield from ((str(i), child) for i, child in enumerate(node))
