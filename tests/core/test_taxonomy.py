"""The kinds of failure as data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from neuropt_core.curve import Curve
from neuropt_core.llm.digest import digest
from neuropt_core.taxonomy import KINDS, kind_of
from neuropt_core.trial import INFRASTRUCTURE, Failure, Outcome, TrialState

ROOT = Path(__file__).parents[2]


def test_every_kind_says_what_it_is() -> None:
    """Each has a meaning, what tells it from the others, and what the study does; no name stands twice."""
    assert all(kind.means and kind.recognised and kind.does and kind.told_as for kind in KINDS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert kind_of("host_out_of_memory").words == "host out of memory"


def test_what_is_launched_again_is_the_machines() -> None:
    """The kinds of which nothing is learnt are those that are launched again, and no others."""
    assert INFRASTRUCTURE == ("preempted", "node_lost", "refused", "import_error")
    assert Failure("preempted", "x").says_nothing
    assert not Failure("host_out_of_memory", "x").says_nothing


def test_an_unknown_kind_is_treated_as_an_exception() -> None:
    """A journal of a newer version can be read."""
    unknown, plain = kind_of("struck_by_lightning"), kind_of("exception")
    assert (unknown.again, unknown.avoidable, unknown.mend) == (plain.again, plain.avoidable, plain.mend)


def test_no_kind_is_made_that_the_data_lacks() -> None:
    """Every kind that the code names when it makes a failure is in the table."""
    names = {kind.name for kind in KINDS}
    made = set()
    for file in [*(ROOT / "neuropt_core").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Failure", "_no_score") and node.args:
                made |= {one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant) and one.value}
    assert {"no_number", "lost", "node_lost"} <= made
    assert made <= names


def test_a_failure_keeps_the_last_lines() -> None:
    """The log survives the journal, and is left out of it where there is none."""
    failure = Failure("lost", "it was killed", log="epoch 3\nepoch 4")
    outcome = Outcome(TrialState.FAIL, failure=failure)
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert "log" not in Failure("lost", "x").to_json()


@pytest.mark.parametrize(
    ("kind", "words"),
    [("out_of_memory", "oom (out of memory before"), ("host_out_of_memory", "oom (out of the machine's own memory")],
)
def test_an_llm_is_told_which_memory_was_full(kind: str, words: str) -> None:
    """A smaller batch mends the one, fewer workers or less data in memory the other."""
    assert digest(Curve(), failure=kind).startswith(words)
