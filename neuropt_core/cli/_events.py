"""What a record of the journal says, in words: one event for each that a person wants to hear of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.expectations import verdict
from neuropt_core.replay import Replay
from neuropt_core.sinks._lines import changes, standing
from neuropt_core.sinks._objectives import broken, score
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import duration, first_sentence, number, one_line, reason, source
from neuropt_core.spending import Price, spent
from neuropt_core.trial import Outcome, Proposal, Trial

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a study.

    Attributes:
        op: The record's kind: ``study``, ``session``, ``changed``, ``card``, ``consult``, ``reject``, ``ask``,
            ``launch``, ``submit``, ``retry`` or ``tell``.
        words: One line; untrusted text in it is not yet made harmless.
        trial: The trial that it is about; None where it is about none.
        details: Further lines, likewise.
        data: What else other programs want to know.
    """

    op: str
    words: str
    trial: int | None = None
    details: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data for other programs, all text made harmless."""
        said = {"event": self.op, "trial": self.trial, "words": one_line(self.words)}
        return {**said, "details": [one_line(text) for text in self.details], **self.data}


def event_of(record: Mapping[str, Any], state: Replay, scene: Callable[[], Scene], bests: list[int]) -> Event | None:
    """Returns what a record says; None where there is nothing to tell.

    Args:
        record: Of the journal.
        state: The study's, with the record.
        scene: Makes the scene of it.
        bests: The trials that were the best so far, in their order; a new one is added.
    """
    op = record["op"]
    if op in ("study", "session", "changed", "card"):
        return _of_study(op, record, state)
    if op == "consult":
        return consulted(state.consulted[-1], state)
    if op == "reject":
        put = state.rejected[-1]
        return Event(op, f"Put aside ({put.rule}): {values(put.proposal)}", None, (put.why,), {"rule": put.rule})
    if op == "ask":
        return _asked(state.trials[record["number"]], scene())
    if op in ("launch", "submit", "retry"):
        return _on_the_way(op, record)
    if op == "tell":
        return _told(scene(), state.trials[record["number"]], bests)
    return None


def values(proposal: Proposal) -> str:
    """Returns a proposal's parameters on one line."""
    return ", ".join(f"{name}={value}" for name, value in proposal.params.items())


def consulted(found: Consultation, state: Replay) -> Event:
    """Returns what came of a consultation: whom it asked, what it cost and taught, what was wrong with the reply."""
    if found.kind == "not asked":
        return Event("consult", f"The LLM is not asked any more: {'; '.join(found.complaints)}")
    if found.kind == "resumed":
        return Event("consult", "The LLM may be asked again: the sweep was begun anew.")
    about = "the space" if found.purpose == "card" else f"trials from {found.number} on"
    came = "" if found.accepted is None else f"; {found.accepted} of its proposals accepted"
    again = " (from a transcript)" if found.replayed else ""
    price = state.about.get("price")
    cost = spent([found], None if price is None else Price(**price))
    words = f"{found.model} was asked for {about}: {found.kind}{again}{came}, {found.seconds:.1f} s, {cost.words}"
    details = [f"Not used: {text}" for text in found.complaints[:_SHOWN]]
    details += [f"Diagnosis: {found.diagnosis}"] if found.diagnosis else []
    details += [f"Learnt: {lesson.text} (trials {_few(lesson.supports)})" for lesson in found.learnt]
    details += [f"Takes back lesson {_few(found.retired)}"] if found.retired else []
    usd = None if cost.usd is None else round(cost.usd, 6)
    return Event("consult", words, None, tuple(details), {"kind": found.kind, "tokens": cost.tokens, "usd": usd})


def expected(trial: Trial) -> str:
    """Returns the score that its proposer expects; "" if he states none."""
    p = trial.proposal.predicted
    return "" if p is None else f"{number(p.p10)} to {number(p.p90)}, most likely {number(p.p50)}"


def outcome_words(outcome: Outcome) -> str:
    """Returns why an attempt ended without a score."""
    return outcome.failure.words if outcome.failure is not None else outcome.reason


def _of_study(op: str, record: Mapping[str, Any], state: Replay) -> Event:
    spec = state.spec
    if op == "study":
        names = ", ".join(spec.space.names[:_SHOWN]) + (" ..." if len(spec.space.names) > _SHOWN else "")
        aim = " and ".join(spec.directions)
        several = "s" if len(spec.space.names) != 1 else ""
        words = f"Study {spec.name}: {aim} the score over {len(spec.space.names)} parameter{several} ({names})"
        given = (f"Every trial has: {' '.join(spec.fixed)}",) if spec.fixed else ()
        earlier = (f"Starts warm from {len(state.earlier)} trials of an earlier sweep",) if state.earlier else ()
        return Event(op, words, None, (*given, *earlier))
    if op == "session":
        begun = f"A sweeper began, up to {record.get('n_trials', '?')} trials"
        return Event(op, begun, None, (f"Advisor: {record['advisor']}",) if record.get("advisor") else ())
    if op == "changed":
        said = tuple(map(str, record.get("differences", ())))
        return Event(op, "The user changed the study (resume=force)", None, said)
    card = state.card
    held = (0, 0) if card is None else (len(card.beliefs), len(card.portfolio))
    return Event(op, f"The LLM wrote a space card: {held[0]} beliefs, {held[1]} configurations to try")


def _asked(trial: Trial, scene: Scene) -> Event:
    proposal = trial.proposal
    intent = f", to {proposal.intent}" if proposal.intent else ""
    own = proposal.source == "default" or trial.number == 0
    what = "your own configuration" if own else changes(scene, trial)
    details = [f'"{first_sentence(proposal.rationale)}"'] if proposal.source != "default" else []
    details += [f"Builds on trial {proposal.parent}"] if proposal.parent is not None else []
    details += [f"Expects {expected(trial)}"] if proposal.predicted is not None else []
    words = f"Trial {trial.number} was proposed by {source(trial)}{intent}: {what}"
    data = {"source": proposal.source, "params": dict(proposal.params)}
    return Event("ask", words, trial.number, tuple(details), data)


def _on_the_way(op: str, record: Mapping[str, Any]) -> Event:
    trial, attempt = record["number"], record.get("attempt", 0)
    if op == "launch":
        again = f" again (attempt {attempt + 1})" if attempt else ""
        where = f" in {record['folder']}" if record.get("folder") else ""
        return Event(op, f"Trial {trial} was launched{again}{where}", trial)
    if op == "submit":
        handle = record["handle"]
        who = ", ".join(f"{name} {handle[name]}" for name in ("job_id", "pid", "host") if name in handle)
        return Event(op, f"Trial {trial} has a place: {handle.get('backend', 'its backend')}, {who}", trial)
    why = outcome_words(Outcome.from_json(record["outcome"]))
    return Event(op, f"Attempt {attempt + 1} at trial {trial} does not count: {why}", trial)


def _told(scene: Scene, trial: Trial, bests: list[int]) -> Event:
    seconds = 0.0 if trial.outcome is None else trial.outcome.seconds
    data: dict[str, Any] = {"state": trial.state.value, "values": list(trial.values), "seconds": seconds}
    best = scene.best
    new = best is not None and best.number == trial.number and trial.number not in bests[-1:]
    if new:
        bests.append(trial.number)
    if trial.value is None:
        words = f"Trial {trial.number} {trial.state.value} after {duration(seconds)}: {reason(trial)}"
        return Event("tell", words, trial.number, (), data)
    lacking = f"; it {found}" if (found := broken(scene.spec, trial)) else ""
    words = f"Trial {trial.number} scored {score(trial)} after {duration(seconds)}: {standing(scene, trial)}{lacking}"
    details = [f"{verdict(trial, scene.spec.direction)}: {expected(trial)}"] if expected(trial) else []
    details += [f"New best: {score(trial)}"] if new and len(bests) > 1 else []
    return Event("tell", words, trial.number, tuple(details), {**data, "best": new})


def _few(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return ", ".join(map(str, numbers[:_SHOWN])) + more or "none"
