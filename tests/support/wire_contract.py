"""Holds a request against the SDK's own types: pydantic checks the values, and this the keys, which it lets pass."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter
from typing_extensions import NotRequired, Required, is_typeddict


def violations(body: Mapping[str, Any], kind: Any) -> list[str]:
    """Returns the paths of keys that the type does not know; raises pydantic's error where a value is wrong."""
    TypeAdapter(kind).validate_python(dict(body))
    return _unknown(body, kind, "")


def _unknown(value: Any, hint: Any, path: str) -> list[str]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Required, NotRequired, Annotated):
        return _unknown(value, arguments[0], path)
    if origin in (Union, types.UnionType):
        fitting = [_unknown(value, option, path) for option in arguments if _accepts(option, value)]
        return min(fitting, key=len, default=[])
    if is_typeddict(hint) and isinstance(value, Mapping):
        hints = get_type_hints(hint)
        strange = [f"{path}.{key}" for key in value if key not in hints]
        inner = [x for key in value if key in hints for x in _unknown(value[key], hints[key], f"{path}.{key}")]
        return strange + inner
    if isinstance(value, list) and arguments and isinstance(origin, type) and issubclass(origin, Iterable):
        return [x for i, item in enumerate(value) for x in _unknown(item, arguments[0], f"{path}[{i}]")]
    return []


def _accepts(option: Any, value: Any) -> bool:
    try:
        TypeAdapter(option).validate_python(value)
    except ValueError:
        return False
    return True
