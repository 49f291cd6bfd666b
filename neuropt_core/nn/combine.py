"""Edits that work alone must work together: which combinations are tried, and which value goes where two clash."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import combinations

from neuropt_core.nn.check import NOWHERE, Prover
from neuropt_core.nn.edits import RATES, EditPlan
from neuropt_core.space import Value

ALWAYS = 2
"""So many combinations of all settings at once are tried on any model; of the second only the pass in train mode."""

SECONDS = 2.0
"""How much CPU time further combinations, and pairs, may take."""

_RANK = ("dropout", "activation", "drop_path", "mha_dropout", "dropout_head", "dropout_mlp", "dropout_attention",
         "dropout_embedding", "pool_type", "use_batchnorm", "use_layernorm")  # fmt: skip
"""The settings from what is worth most to what is worth least: of two that clash, the later goes."""


def prove_together(
    prover: Prover, values: Mapping[str, tuple[Value, ...]], seconds: float = SECONDS
) -> dict[tuple[str, Value], str]:
    """Returns (setting, value) -> reason, for the values that work alone and not together with others worth more.

    First come combinations in which every setting is changed, then pairs of values of two settings. The first `ALWAYS`
    combinations are tried on any model, the rest for as long as `seconds` last: all of them on a small one.

    Args:
        prover: Checks a plan.
        values: Setting -> values that passed their check alone, without the one that changes nothing.
        seconds: CPU time for what is not always tried.
    """
    removed: dict[tuple[str, Value], str] = {}
    begin = time.process_time()
    for index, row in enumerate(_rows({name: values[name] for name in sorted(values, key=_RANK.index)})):
        if index >= ALWAYS and time.process_time() - begin > seconds:
            break
        left = _without(row, removed)
        while len(left) > 1 and (reason := _complaint(prover, left, brief=0 < index < ALWAYS)):
            removed[_lesser(prover, left)] = f"together with others: {reason}"
            left = _without(row, removed)
    return removed


def _without(row: Mapping[str, Value], removed: Mapping[tuple[str, Value], str]) -> dict[str, Value]:
    return {name: value for name, value in row.items() if (name, value) not in removed}


def _complaint(prover: Prover, row: Mapping[str, Value], *, brief: bool = False) -> str:
    plan = EditPlan(**row)  # type: ignore[arg-type]
    reason = prover.check(plan, preserving=all(name in RATES for name in row), brief=brief)
    return "" if reason == NOWHERE else reason


def _rows(values: Mapping[str, tuple[Value, ...]]) -> Iterator[dict[str, Value]]:
    """Yields rows in which every setting has a value other than the present one, each value at least once; then pairs.

    Rates lie on layers of their own, so that they need no pairs among themselves.
    """
    if len(values) < 2:
        return
    for index in range(max(len(choices) for choices in values.values())):
        # From the end: rates are high there, and layers with weights of their own come last.
        yield {name: choices[-1 - index % len(choices)] for name, choices in values.items()}
    for first, second in combinations(values, 2):
        if len(values) > 2 and not (first in RATES and second in RATES):
            yield from ({first: one, second: other} for one in values[first] for other in values[second])


def _lesser(prover: Prover, row: Mapping[str, Value]) -> tuple[str, Value]:
    """Returns the first setting, in order of worth, with which the ones before it do not work."""
    names = list(row)
    for count in range(2, len(names)):
        if _complaint(prover, {name: row[name] for name in names[:count]}):
            return names[count - 1], row[names[count - 1]]
    return names[-1], row[names[-1]]
