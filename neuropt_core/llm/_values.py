"""The values of a candidate -> the user's own parameters. The model chooses among them; it supplies no text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from neuropt_core.llm._json import Rejected, Unreadable, real_number, whole_number
from neuropt_core.llm.schema import Slot
from neuropt_core.space import Categorical, Int, SearchSpace, Value


def read_values(
    values: Mapping[str, object], space: SearchSpace, fields: Sequence[Slot]
) -> tuple[dict[str, Value], list[str]]:
    """Returns the legal values of active parameters, and the rules that the others break."""
    params: dict[str, Value] = {}
    broken: list[str] = []
    failed: set[str] = set()
    for slot in fields:
        p = slot.parameter
        # Whether it counts is not known when the parameter that it depends on was rejected; one complaint is enough.
        if any(condition.name in failed for condition in p.when):
            failed.add(p.name)
            continue
        if not space.is_active(p.name, params):
            continue
        try:
            if slot.alias not in values:
                raise Rejected("is missing")
            params[p.name] = read_value(values[slot.alias], slot)
        except Rejected as rejected:
            failed.add(p.name)
            broken.append(f"{p.name} {rejected}")
    return params, broken


def read_value(given: object, slot: Slot) -> Value:
    """Returns the legal value of a parameter that a reply gives, or raises `Rejected`."""
    p = slot.parameter
    if isinstance(given, Unreadable):
        raise Rejected(given.rule)
    value: Value
    if isinstance(p, Categorical):
        value = read_choice(given, p, slot.labels)
    elif isinstance(p, Int):
        value = whole_number(given)
    else:
        value = real_number(given)
    rule = p.check(value)
    if rule is not None:
        raise Rejected(f"{rule}, got {value!r}")
    return value


def read_choice(given: object, p: Categorical, labels: Sequence[str]) -> Value:
    """Returns the user's own choice for a label; the case may differ, as Anthropic does not keep an enum's case."""
    if not isinstance(given, str):
        raise Rejected(f"must be one of the {len(labels)} labels of its choices, as a string")
    for choice, label in zip(p.choices, labels, strict=True):
        if label.casefold() == given.casefold():  # labels stay different without their case: see schema._labels
            return choice
    shown = ", ".join(json.dumps(label, ensure_ascii=False) for label in labels[:20])
    raise Rejected(f"must be one of {shown}" + (" ..." if len(labels) > 20 else ""))
