"""The proof of a single edit, for tests that need no more."""

from __future__ import annotations

from torch import nn

from neuropt_core.nn.check import Prover
from neuropt_core.nn.edits import EditPlan
from neuropt_core.nn.graph import Trace


def check(plan: EditPlan, model: nn.Module, seen: Trace, head: tuple[str, ...], *, preserving: bool) -> str:
    """Returns what a prover of `model` says of one plan."""
    return Prover(model, seen, head).check(plan, preserving=preserving)
