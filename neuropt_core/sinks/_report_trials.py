"""The reasoning in the report in W&B: each trial's hypothesis, what was expected, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuropt_core.expectations import surprise, verdict
from neuropt_core.sinks._objectives import broken, score
from neuropt_core.sinks._report_text import words
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import changes, duration, number, reason, source
from neuropt_core.trial import Trial, TrialState

Block = Mapping[str, Any]

SHOWN = 100
"""So many trials are told one by one: trial 0, the best, and the latest."""
_BEST = 30
_RATIONALE, _HYPOTHESIS, _CHANGES = 600, 300, 400
"""The most characters of each; W&B's pages of single trials have them whole."""


def reasoning(scene: Scene) -> list[Block]:
    """Returns a heading for each trial that folds away what was thought and what happened."""
    chosen = _chosen(scene)
    blocks: list[Block] = []
    if len(chosen) < len(scene.trials):
        told = f"{len(chosen)} of {len(scene.trials)} trials are told: trial 0, the {_BEST} best and the latest."
        blocks.append({"kind": "text", "text": f"{told} trials.csv has all."})
    if any(trial.proposal.source == "llm" for trial in chosen):
        said = (
            "Hypotheses and rationales of trials whose source is llm are the words of an LLM, which nobody has checked."
        )
        blocks.append({"kind": "text", "text": said})
    blocks += [_trial(scene, trial) for trial in chosen]
    return blocks or [{"kind": "text", "text": "No trial has been asked yet."}]


def _chosen(scene: Scene) -> list[Trial]:
    if len(scene.trials) <= SHOWN:
        return list(scene.trials)
    base = scene.baseline
    first = [] if base is None else [base.number]
    best = [trial.number for trial in scene.spec.ranked(scene.present)[:_BEST]]
    kept = dict.fromkeys((*first, *best, *(trial.number for trial in reversed(scene.trials))))
    numbers = set(list(kept)[:SHOWN])
    return [trial for trial in scene.trials if trial.number in numbers]


def _trial(scene: Scene, trial: Trial) -> Block:
    proposal, direction = trial.proposal, scene.spec.direction
    came = _came(scene, trial)
    items = [
        f"Source: {words(source(trial), 100)}{f', to {proposal.intent}' if proposal.intent else ''}{_parent(trial)}.",
        *([f"Hypothesis: {words(proposal.hypothesis, _HYPOTHESIS)}"] if proposal.hypothesis else []),
        *([f"It would be refuted by: {words(proposal.falsifier, _HYPOTHESIS)}"] if proposal.falsifier else []),
        f"Rationale: {words(proposal.rationale, _RATIONALE)}",
        f"Against trial 0: {_changes(scene, trial)}",
        *([f"Expected: {_expected(trial)}"] if proposal.predicted is not None else []),
        f"Outcome: {came}",
    ]
    by = surprise(trial, direction)
    if said := verdict(trial, direction):
        items.append(f"Verdict: {said}{'' if by is None else f' (surprise {by:+.2g})'}.")
    if trial.number in scene.left_out:
        items.append("It does not fit what the study was changed to, and is not learnt from.")
    title = f"Trial {trial.number}: {score(trial) if trial.values else trial.state.value}"
    return {
        "kind": "heading",
        "level": 3,
        "text": f"{title}{f' ({said})' if said and trial.values else ''}",
        "inside": [{"kind": "list", "items": items}],
    }


def _came(scene: Scene, trial: Trial) -> str:
    outcome = trial.outcome
    if outcome is None:
        points = scene.curves.get(trial.number)
        said = "it runs" if trial.number in scene.running else "it has not ended"
        return said + ("." if not points else f"; its latest report is of step {points.points[-1].step}.")
    state = {TrialState.COMPLETE: f"score {score(trial)}", TrialState.PRUNED: "stopped early"}.get(
        trial.state, "failed"
    )
    why = f": {words(reason(trial), 300)}" if reason(trial) else ""
    lacking = f"; it {words(broken(scene.spec, trial), 300)}" if broken(scene.spec, trial) else ""
    return f"{state}{why}{lacking}, after {duration(outcome.seconds)}."


def _changes(scene: Scene, trial: Trial) -> str:
    return words(changes(scene, trial), _CHANGES) or "nothing."


def _expected(trial: Trial) -> str:
    p = trial.proposal.predicted
    return "" if p is None else f"{number(p.p50)}, within {number(p.p10)} to {number(p.p90)} at 80 %."


def _parent(trial: Trial) -> str:
    proposal = trial.proposal
    if proposal.parent is None or proposal.source == "replicate":
        return ""
    return f", building on trial {proposal.parent}"
