"""Finds the rates among the arguments of a model's node, by its keys and its factory's signature, and sets them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf

from hydra_plugins.neuropt_sweeper._nodes import Path, leaves_of, located, mappings
from neuropt_core.nn.arguments import Argument, is_rate
from neuropt_core.nn.settings import Settings

_BY_POSITION = object()


class NodeFactory:
    """A config node as a `neuropt_core.nn.arguments.Factory`.

    Args:
        node: The node, interpolations resolved.
        where: Its key in the config.
        raw: The whole config with its interpolations as they are written.
        own: Keys that the user searches or fixes himself; those are not looked through.
        given: The user's settings under ``neuropt``: the head of every build is adapted to ``num_classes``, as the
            job's will be.
    """

    def __init__(
        self,
        node: Any,
        where: str,
        raw: Mapping[str, object],
        own: Collection[str] = (),
        given: Settings | None = None,
    ) -> None:
        self._given = given
        self._node: Any = OmegaConf.to_container(OmegaConf.create(node), resolve=False)
        self._where, self._raw, self._own = where, raw, own
        self._paths: dict[str, list[Path]] = {}

    def arguments(self, model: object) -> tuple[tuple[Argument, ...], Mapping[str, str]]:
        """Returns the arguments that are rates, and name -> reason for those that cannot be set; `model` is built."""
        found: dict[str, Argument] = {}
        left_out: dict[str, str] = {}
        for path, value, written in self._candidates(model):
            shown = ".".join((self._where, *path))
            name = self._key(path)
            if name is None:
                left_out[shown] = "the node around it comes from an interpolation that no override can reach into"
            elif value is _BY_POSITION:
                left_out[shown] = "it is given by position, in _args_"
            elif value is not None and not _is_rate(value):
                left_out[shown] = f"{value!r} is no rate"
            elif name not in found:
                rate = None if value is None else float(value)
                found[name] = Argument(name, path[-1], rate, written, len(path) - 1)
                self._paths[name] = [path]
        for path, _ in leaves_of(self._node):  # One key may be read in several places, and moves them all.
            places = self._paths.get(self._key(path) or "")
            if places is not None and path not in places:
                places.append(path)
        return tuple(found.values()), left_out

    def build(self, values: Mapping[str, float]) -> Any:
        """Instantiates the node with some arguments set, by their names."""
        node = copy.deepcopy(self._node)
        for name, value in values.items():
            for path in self._paths[name]:
                place = node
                for step in path[:-1]:
                    place = place[int(step)] if isinstance(place, list) else place[step]
                place[int(path[-1]) if isinstance(place, list) else path[-1]] = value
        model = instantiate(OmegaConf.create(node))
        given = self._given
        if given is not None and given.num_classes is not None:
            from neuropt_core.nn.classes import adapted

            # Two builds then differ in the new head, which names it fresh.
            adapted(model, given.num_classes, given.head, example=given.example)
        return model

    def _candidates(self, model: object) -> Iterator[tuple[Path, Any, bool]]:
        """Yields path, value and whether it is written, outer nodes first."""
        for path, node in sorted(mappings(self._node), key=lambda item: len(item[0])):
            for key, value in node.items():
                if is_rate(str(key)) and not isinstance(value, (dict, list)):
                    yield (*path, str(key)), value, True
            if isinstance(node.get("_target_"), str):
                for key, default in _defaults(node, model if not path else None).items():
                    if key not in node:
                        yield (*path, key), default, False

    def _key(self, path: Path) -> str | None:
        """Returns the key of the config that sets what stands at `path`; None if no key does."""
        key = located(self._raw, (*self._where.split("."), *path), self._own)
        return None if key is None else ".".join(key)


def _is_rate(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


def _defaults(node: Mapping[str, Any], built: object) -> dict[str, Any]:
    """Returns the rates that a node's factory takes, each with the default of its signature; None stands for none.

    Where the factory passes ``**kwargs`` on, as the builders of torchvision and timm do, the class of what it builds
    tells: `built`, or where that is None, what the node builds on its own. ``from_pretrained`` of transformers takes
    every attribute of the config beside.
    """
    try:
        factory: Any = get_object(node["_target_"])
        parameters = inspect.signature(factory).parameters
    except Exception:  # noqa: BLE001 - importing runs the user's code, and what is written in C has no signature
        return {}
    found = _rates_of(parameters)
    for name in list(parameters)[: len(node.get("_args_", ()))]:
        if name in found:
            found[name] = _BY_POSITION
    if not _passes_on(parameters):
        return found
    if isinstance(factory, type):
        return _of_class(factory) | found
    if built is None:
        built = _alone(node)
    if getattr(factory, "__name__", "") == "from_pretrained":
        config = getattr(built, "config", built)
        found = {k: v for k, v in vars(config).items() if is_rate(k) and (v is None or _is_rate(v))} | found
    return _of_class(type(built)) | found


def _of_class(kind: type) -> dict[str, Any]:
    """Returns the rates that a class takes; one that passes ``**kwargs`` on takes those of the next class too."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        try:
            parameters = inspect.signature(vars(base)["__init__"]).parameters
        except (TypeError, ValueError):  # Written in C.
            break
        found = _rates_of(parameters) | found
        if not _passes_on(parameters):
            break
    return found


def _rates_of(parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: None if parameter.default is inspect.Parameter.empty else parameter.default
        for name, parameter in parameters.items()
        if is_rate(name) and parameter.kind in by_name
    }


def _passes_on(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


def _alone(node: Mapping[str, Any], make: Callable[..., Any] = instantiate) -> object:
    try:
        return make(OmegaConf.create(dict(node)))
    except Exception:  # noqa: BLE001 - a node may need its surroundings; then its class stays unknown
        return None
