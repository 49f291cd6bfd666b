"""The whole story of one trial: why it was proposed, what was known then, its attempts, its curve, what came of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.cli._events import consulted, expected
from neuropt_core.cli._standings import bars
from neuropt_core.cli._telling import Told, clean, clock, discreet, retold
from neuropt_core.cli.export import chosen
from neuropt_core.curve import Curve
from neuropt_core.errors import StudyError
from neuropt_core.expectations import verdict
from neuropt_core.files import read_lines
from neuropt_core.redact import redact_data, secrets_of
from neuropt_core.replay import Replay
from neuropt_core.retold import moments, scene_of
from neuropt_core.sinks._lines import standing
from neuropt_core.sinks._objectives import score
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import number, one_line, plain, reason, source
from neuropt_core.transcript import NAME
from neuropt_core.trial import Trial

_WIDTH = 40
_CURVES = 6


def story(sweep_dir: Path, asked: int, *, prompt: bool) -> tuple[list[str], dict[str, Any]]:
    """Returns a trial's story, as lines for people and as plain data.

    Args:
        sweep_dir: ``hydra.sweep.dir``.
        asked: The trial's number.
        prompt: Whether to tell what the LLM was asked for it and replied, word for word, from the transcript.

    Raises:
        StudyError: There is no study or no such trial, or no transcript where `prompt` needs one.
    """
    scene = scene_of(sweep_dir)
    trial = chosen(scene, asked)
    assert trial is not None  # A number was given.
    then, advice, state = _when_asked(sweep_dir, asked)
    events = [told for told in retold(sweep_dir) if told.event.trial == asked]
    lines = [f"Trial {asked} of {scene.spec.name}, proposed by {source(trial)}", *_why(then, trial)]
    if advice is not None:
        event = clean(consulted(advice, state))
        lines += ["Advice", f"  {event.words}", *(f"  {text}" for text in event.details)]
    lines += ["Attempts", *(f"  {_at(told)}" for told in events if told.event.op != "ask")]
    lines += _curves(scene.curves.get(asked, trial.curve))
    lines += ["Outcome", *(f"  {text}" for text in _outcome(scene, trial))]
    if asked in scene.folders:
        lines += ["Run it once", f"  {scene.reproduce(trial)}"]
    lines = [_harmless(line) for line in lines]
    data: dict[str, Any] = {
        "trial": asked,
        "state": trial.state.value,
        "values": list(trial.values),
        "proposal": trial.proposal.to_json(),
        "best_then": None if then.best is None else {"trial": then.best.number, "values": list(then.best.values)},
        "events": [told.to_json() for told in events],
        "curve": scene.curves.get(asked, trial.curve).to_json(),
        "command": scene.reproduce(trial) if asked in scene.folders else None,
    }
    if prompt:
        words = _exchange(sweep_dir, advice, asked)
        lines += words
        data["exchange"] = words
    return lines, redact_data(data, secrets_of(os.environ))


def _when_asked(sweep_dir: Path, asked: int) -> tuple[Scene, Consultation | None, Replay]:
    """Returns the study as it stood when a trial was proposed, and the call of an LLM that led to it, if one did."""
    for record, state, scene in moments(sweep_dir):
        if record["op"] == "ask" and record["number"] == asked:
            wanted = state.trials[asked].proposal
            from_llm = "llm" in (wanted.source, wanted.stands_in_for)
            calls = [c for c in state.consulted if c.is_call and c.purpose == "trials" and c.number <= asked]
            return scene(), calls[-1] if calls and from_llm else None, state
    raise StudyError(str(sweep_dir), f"holds no trial {asked}")


def _why(then: Scene, trial: Trial) -> Iterator[str]:
    proposal = trial.proposal
    ended = sum(t.outcome is not None for t in then.trials)
    running = [str(t.number) for t in then.trials if t.outcome is None and t.number != trial.number]
    yield "Why"
    yield f"  {proposal.rationale}"
    if proposal.hypothesis:
        yield f"  Believed: {proposal.hypothesis}"
    if proposal.falsifier:
        yield f"  Would speak against it: {proposal.falsifier}"
    if proposal.predicted is not None:
        yield f"  Expected: {expected(trial)}"
    if proposal.parent is not None:
        yield f"  Builds on trial {proposal.parent}"
    yield "Known then"
    best = then.best
    known = "no score" if best is None else f"the best was trial {best.number} with {score(best)}"
    yield f"  {ended} {'trial' if ended == 1 else 'trials'} had ended, {known}" + (
        f"; trials {', '.join(running)} ran" if running else ""
    )


def _outcome(scene: Scene, trial: Trial) -> Iterator[str]:
    if trial.outcome is None:
        yield "It has none yet."
    elif trial.value is None:
        yield f"{trial.state.value}: {reason(trial)}"
    else:
        place = next((n for n, t in enumerate(scene.spec.ranked(scene.present), 1) if t.number == trial.number), None)
        rank = "" if place is None else f"; now number {place} of {len(scene.spec.ranked(scene.present))} with a score"
        yield f"{score(trial)}: {standing(scene, trial)}{rank}"
    if trial.proposal.predicted is not None and (found := verdict(trial, scene.spec.direction)):
        yield f"{found}: {expected(trial)} was expected"


def _curves(curve: Curve) -> Iterator[str]:
    if not curve.points:
        return
    yield "Curve"
    for name in curve.metrics[:_CURVES]:
        series = curve.series(name)
        values = [value for _, value in series]
        yield f"  {name}: {bars(values, _WIDTH)} {number(values[0])} -> {number(values[-1])}, {len(values)} points"
    if len(curve.metrics) > _CURVES:
        yield f"  and {len(curve.metrics) - _CURVES} more metrics, with --json"


def _exchange(sweep_dir: Path, advice: Consultation | None, asked: int) -> list[str]:
    """Returns the messages and the reply that led to a trial.

    Raises:
        StudyError: No LLM was asked for it, or the transcript does not hold the call.
    """
    path = sweep_dir / "neuropt" / NAME
    if advice is None:
        raise StudyError(f"trial {asked}", "was not proposed by an LLM, so there is no prompt")
    try:
        entries: list[Mapping[str, Any]] = read_lines(path)[0]
    except (OSError, ValueError) as error:
        raise StudyError(str(path), f"cannot be read ({error})") from None
    alike = [e for e in entries if e.get("key") == advice.key and e.get("place") == advice.place]
    if not alike:
        raise StudyError(str(path), f"does not hold the call that led to trial {asked}")
    parts = [(f"--- {message['role']}", message["content"]) for message in alike[-1]["prompt"]]
    parts.append(("--- reply", alike[-1]["reply"]))
    return [line for title, text in parts for line in (one_line(title), *map(discreet, plain(text).splitlines()))]


def _at(told: Told) -> str:
    when = "" if told.since is None else f"{clock(told.since)}  "
    return when + "; ".join((told.event.words, *told.event.details))


def _harmless(line: str) -> str:
    text = one_line(line)
    return discreet(f"{line[: len(line) - len(line.lstrip(' '))]}{text}")
