"""A stand-in for a model that reads the history in a prompt, and studies that it advises with true or permuted labels.

It knows nothing but the text of the messages: it takes the rows of the trials with the best scores, and proposes
values near one of them. If the history did not reach the prompt, or did not belong to the right trials, it would search
blindly: the difference between true and shuffled scores is what the prompt tells.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuropt_core.advice import Request, own_configuration
from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.llm import LLMAdvisor
from neuropt_core.curve import Curve
from neuropt_core.journal import Journal
from neuropt_core.llm.scripted import ReplyFunction, ScriptedClient
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Outcome, Proposal, TrialState

_ROW = re.compile(r"^#(\d+) .*?\| (.*?) \| score (\S+?),", re.MULTILINE)
_PARAMETER = re.compile(r"^(\w+) = \S+: float(, log scale)?, (\S+) to ([^\s;]+)(?:; default ([^\s;]+))?", re.MULTILINE)
_STEP = 0.12

SPACE = SearchSpace(
    (
        Float(name="optimizer.lr", low=1e-5, high=1.0, log=True, default=0.3, has_default=True),
        Float(name="optimizer.weight_decay", low=1e-5, high=0.3, log=True, default=0.1, has_default=True),
        Float(name="model.dropout", low=0.0, high=0.6, default=0.0, has_default=True),
    )
)


def objective(params: Mapping[str, Any]) -> float:
    """Returns a bowl over the three, 0 at lr=1e-3, weight_decay=1e-3, dropout=0.4."""
    lr, decay, dropout = (params[name] for name in SPACE.names)
    return (math.log10(lr) + 3) ** 2 + 0.5 * (math.log10(decay) + 3) ** 2 + 4 * (dropout - 0.4) ** 2


def reader(seed: int) -> ReplyFunction:
    """Returns a function that answers with a candidate near one of the two best trials that a prompt shows."""

    def answer(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> dict[str, Any]:
        system, user = messages[0]["content"], messages[-1]["content"]
        spans = {alias: (bool(log), float(low), float(high)) for alias, log, low, high, _ in _PARAMETER.findall(system)}
        own = {alias: float(default) for alias, _, _, _, default in _PARAMETER.findall(system)}
        sign = 1 if "smaller is better" in system else -1
        rows = sorted((sign * float(score), int(number), told) for number, told, score in _ROW.findall(user))
        chance = random.Random(f"{seed}/{user}")
        told = chance.choice(rows[:2])[2] if rows else ""
        base = own | {alias: float(value) for alias, value in re.findall(r"(\w+)=([-+.\de]+)", told)}
        candidate = {
            "intent": "exploit",
            "parent": -1,
            "hypothesis": "Near the best it is good.",
            "falsifier": "It is not.",
            "values": {alias: _near(base[alias], *span, chance) for alias, span in spans.items()},
            "expected": {"p10": 0.0, "p50": 1.0, "p90": 2.0},
            "rationale": "Near one of the best trials.",
        }
        return {"diagnosis": "Rows were read.", "lessons_keep": [], "lessons_retire": [], "candidates": [candidate]}

    return answer


def _near(value: float, log: bool, low: float, high: float, chance: random.Random) -> float:
    scale, back = (math.log, math.exp) if log else (float, float)
    spread = _STEP * (scale(high) - scale(low))
    return min(max(back(scale(value) + chance.gauss(0, spread)), low), high)


def run_study(folder: Path, n_trials: int, seed: int, *, permuted: bool = False, direction: str = "minimize") -> Study:
    """Runs a study that a `reader` advises.

    Args:
        folder: Where its journal is kept.
        n_trials: Trials in all, the user's own configuration included.
        seed: Of the reader's chance, and of the permutation's.
        permuted: Deal the outcomes anew among the trials before each request.
        direction: ``minimize`` the objective, or ``maximize`` its negative.
    """
    sign = 1 if direction == "minimize" else -1
    advisor = LLMAdvisor(ScriptedClient(reader(seed)))
    journal = Journal(folder / "journal.jsonl")
    try:
        study = Study(StudySpec("s", SPACE, direction), journal)  # type: ignore[arg-type]
        while len(study.trials) < n_trials:
            request = study.request(count=1, n_trials=n_trials)
            proposals: tuple[Proposal, ...] = (own_configuration(SPACE),)
            if study.trials:
                advice = advisor.propose(dealt_anew(request, seed) if permuted else request)
                # Where both turns repeat a trial, chance goes on; the same prompt would get the same reply.
                proposals = advice.proposals or RandomAdvisor().propose(request).proposals
                for consultation in advice.consultations:
                    study.consult(consultation)
            for proposal in proposals:
                trial = study.ask(proposal)
                study.tell(trial.number, Outcome(TrialState.COMPLETE, sign * objective(trial.params), Curve()))
    finally:
        journal.close()
    return study


def dealt_anew(request: Request, seed: int) -> Request:
    """Returns the request with the outcomes of its trials dealt anew, by chance."""
    order = list(range(len(request.trials)))
    random.Random(f"{seed}/{request.number}").shuffle(order)
    outcomes = [request.trials[i].outcome for i in order]
    trials = (replace(trial, outcome=outcome) for trial, outcome in zip(request.trials, outcomes, strict=True))
    return replace(request, trials=tuple(trials))
