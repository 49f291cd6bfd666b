"""An estimator behind a config node: which key of the config sets each of its arguments, proved by building it."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from hydra_plugins.neuropt_sweeper._nodes import Path, located, mappings
from neuropt_core.estimators import inspect_estimator
from neuropt_core.estimators.inspect import Preset
from neuropt_core.profile import ModelProfile
from neuropt_core.space import Categorical, Parameter, Value, When

BUDGET_SECONDS = 60.0
"""The longest time that all proofs together may take; what is not proved by then is not offered."""


def makes_estimators(target: object) -> bool:
    """Tells whether a target is a class of estimators; of what a function returns nothing is known before it is called.

    Torch is not asked: who trains an estimator need not have it.
    """
    methods = ("get_params", "set_params")
    foreign = any(kind.__module__.partition(".")[0] == "torch" for kind in getattr(target, "__mro__", ()))
    return isinstance(target, type) and not foreign and all(callable(getattr(target, name, None)) for name in methods)


def build(node: Any) -> Any:
    """Instantiates a node; what ``_partial_`` leaves of an estimator's class is called without further arguments."""
    built = instantiate(OmegaConf.create(node))
    return built() if isinstance(built, functools.partial) and makes_estimators(built.func) else built


class EstimatorNode:
    """A node of the config that builds an estimator.

    Args:
        node: The node, interpolations resolved.
        where: Its key in the config.
        raw: The whole config with its interpolations as they are written.
        own: Keys that the user searches or fixes himself.
    """

    def __init__(self, node: Any, where: str, raw: Mapping[str, object], own: Collection[str] = ()) -> None:
        self._node: Any = OmegaConf.to_container(OmegaConf.create(node), resolve=False)
        self._where, self._raw, self._own = where, raw, own
        self._places: dict[str, Path] = {}
        """Part of the estimator, e.g. ``svc``, -> where the node that builds it stands below the whole one's."""

    def profile(self, estimator: Any, space: Preset) -> ModelProfile:
        """Returns the profile of what the node has built, its parameters named by the keys of the config.

        Offered is what the config can set: an estimator is built once more with each argument changed, and must say
        that it has the new value. A factory that fixes an argument, or does not pass it on, so keeps it.
        """
        mine = {name.removeprefix(f"{self._where}.") for name in self._own}
        found = inspect_estimator(estimator, target=self._node["_target_"], space=space, searched=mine)
        deadline = time.monotonic() + BUDGET_SECONDS
        present = {p.name: p.default for p in found.offered}
        keys: dict[str, str] = {}
        reasons: dict[str, str] = {}
        for parameter in found.offered:
            if time.monotonic() > deadline:
                reasons[parameter.name] = f"the {BUDGET_SECONDS:.0f} s for proving arguments were spent"
                continue
            fixed = [c for c in parameter.when if c.name not in keys]
            if not all(any(type(v) is type(present[c.name]) and v == present[c.name] for v in c.values) for c in fixed):
                reasons[parameter.name] = "has no effect with " + ", ".join(
                    f"{c.name}={present[c.name]}" for c in fixed
                )
                continue
            path = self._path(parameter)
            key = None if path is None else located(self._raw, (*self._where.split("."), *path), self._own)
            if path is None:
                reasons[parameter.name] = f"no key below {self._where} sets it, as a build with another value shows"
            elif key is None:
                why = "the node around it comes from an interpolation that no override can reach into"
                reasons[parameter.name] = why
            elif ".".join(key) in keys.values():
                reasons[parameter.name] = f"{'.'.join(key)} sets it, which is searched already"
            else:
                keys[parameter.name] = ".".join(key)
        left_out = {self._shown(name): reason for name, reason in {**found.left_out, **reasons}.items()}
        return replace(
            found,
            offered=tuple(self._renamed(p, keys) for p in found.offered if p.name in keys),
            left_out={name: reason for name, reason in left_out.items() if name not in self._own},
        )

    def _renamed(self, parameter: Parameter, keys: Mapping[str, str]) -> Parameter:
        when = tuple(When(keys[c.name], c.values) for c in parameter.when if c.name in keys)
        return replace(parameter, name=keys[parameter.name], when=when)

    def _path(self, parameter: Parameter) -> Path | None:
        """Returns where below the node an argument is set; None where no place sets it."""
        part, _, argument = parameter.name.rpartition("__")
        if part in self._places:
            path = (*self._places[part], argument)
            return path if self._sets(path, parameter) else None
        for place, node in mappings(self._node):
            if "_target_" in node and place not in self._places.values() and self._sets((*place, argument), parameter):
                self._places[part] = place
                return (*place, argument)
        return None

    def _sets(self, path: Path, parameter: Parameter) -> bool:
        node = copy.deepcopy(self._node)
        place = node
        for step in path[:-1]:
            place = place[int(step)] if isinstance(place, list) else place[step]
        value = _another(parameter)
        place[path[-1]] = value
        try:
            said = build(node).get_params(deep=True)[parameter.name]
        except Exception:  # noqa: BLE001 - building runs the user's code, which may refuse the argument
            return False
        return type(said) is type(value) and bool(said == value)

    def _shown(self, name: str) -> str:
        part, _, argument = name.rpartition("__")
        place = self._places.get(part)
        return f"{self._where}.{name}" if place is None else ".".join((self._where, *place, argument))


def _another(parameter: Parameter) -> Value:
    values = parameter.choices if isinstance(parameter, Categorical) else (parameter.low, parameter.high)
    return next(v for v in values if type(v) is not type(parameter.default) or v != parameter.default)
