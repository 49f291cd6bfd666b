"""Words and numbers that all sinks share: untrusted text made harmless, and the comparison with trial 0."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TextIO

from neuropt_core.recommend import Standing, configurations, standings
from neuropt_core.sinks._objectives import against_baseline
from neuropt_core.sinks.base import Scene
from neuropt_core.space import Value
from neuropt_core.trial import Trial

_ESCAPES = re.compile(
    r"""(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]  # CSI: colours, cursor movements
      # OSC, DCS and their kin: window titles, links, the clipboard
      | (?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]).*?(?:\x1b\\|\x07|\x9c)
      | \x1b[ -/]*[0-~]                   # the short ones
    """,
    re.VERBOSE | re.DOTALL,
)
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[^a-z\s])")


def plain(text: str) -> str:
    """Returns text without anything that a terminal or an editor would obey.

    Escape sequences, control and direction-changing characters and lone surrogates go, tabs become spaces; newlines
    stay. What is left can be written as UTF-8.
    """
    if text.replace("\n", "").isprintable():
        return text  # Nothing to take away, as in nearly all texts; the rest is slow.
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    text = re.sub("[\r\x0b\x0c\x85\u2028\u2029]", "\n", text).replace("\t", " ")
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def one_line(text: str) -> str:
    """Returns `plain` text on one line, runs of white space made one space."""
    return " ".join(plain(text).split())


def unmarked(text: str) -> str:
    """Returns `plain` text whose links, images and HTML Markdown shows as text, as W&B renders a run's notes.

    An image would be fetched from its address by everybody who opens the page.
    """
    return re.sub(r"([\[\]<>\\])", r"\\\1", plain(text))


def first_sentence(text: str, limit: int = 160) -> str:
    """Returns the first sentence of a text on one line, cut with an ellipsis beyond `limit` characters."""
    sentence = _SENTENCE.split(one_line(text), maxsplit=1)[0]
    return sentence if len(sentence) <= limit else sentence[: limit - 1].rstrip() + "…"


def number(value: float, digits: int = 5) -> str:
    """Returns a score for a reader: at most `digits` significant digits."""
    return f"{value:.{digits}g}"


def duration(seconds: float, digits: int = 1) -> str:
    """Returns a duration for a reader, e.g. ``8.2 s``, ``3 min 05 s`` or ``2 h 07 min``."""
    if round(seconds, digits) < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def literal(value: Value) -> str:
    """Returns a parameter's value as a config would write it: ``true``, ``null``, ``0.0003``, ``adamw``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return one_line(value) if isinstance(value, str) else repr(value)


def changed(scene: Scene, trial: Trial) -> dict[str, Value]:
    """Returns the parameters in which a trial differs from trial 0, in the order of the space."""
    base = {} if scene.baseline is None else scene.baseline.params
    names = [*(n for n in scene.spec.space.names if n in trial.params), *trial.params]
    return {n: trial.params[n] for n in dict.fromkeys(names) if n not in base or not _same(base[n], trial.params[n])}


def changes(scene: Scene, trial: Trial) -> str:
    """Returns what `changed` does as a config would write it, on one line; "" where nothing differs."""
    return ", ".join(f"{name}={literal(value)}" for name, value in changed(scene, trial).items())


def trial_name(trial: Trial) -> str:
    """Returns the name of a trial's run, the same in all trackers."""
    return f"trial-{trial.number:03d}"


def source(trial: Trial) -> str:
    """Returns who proposed a trial, and for whom it stood in; of a replicate, which trial it runs again."""
    proposal = trial.proposal
    if proposal.source == "replicate":
        return f"replicate of trial {proposal.parent}"
    return (
        f"{proposal.source} (standing in for {proposal.stands_in_for})" if proposal.stands_in_for else proposal.source
    )


def reason(trial: Trial) -> str:
    """Returns in one line why a trial has no score; "" if it has one or still runs."""
    outcome = trial.outcome
    if outcome is None:
        return ""
    if outcome.failure is not None:
        return one_line(outcome.failure.words)
    return one_line(outcome.reason)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The best trial against trial 0; where a configuration was run twice, the recommended one by posterior means.

    Attributes:
        words: One honest sentence, without a full stop.
        difference: Best score minus trial 0's; None unless both have a score.
        relative: `difference` as a fraction of trial 0's absolute score; None if that is 0.
        better: Whether another trial than trial 0 has the best score, by more than noise if that is known.
        best: The best score.
        baseline: Trial 0's.
    """

    words: str
    difference: float | None = None
    relative: float | None = None
    better: bool = False
    best: float | None = None
    baseline: float | None = None


def compare(scene: Scene) -> Comparison:
    """Compares the best trial with trial 0, the user's own configuration; a lead within the noise is a tie."""
    best, base, found = scene.best, scene.baseline, scene.recommended
    if best is None or best.value is None or found is None:
        return Comparison("no trial has a score yet")
    if base is None or base.value is None:
        state = "has not ended" if base is None or base.outcome is None else "has no score"
        return Comparison(f"cannot be compared: trial 0, your own configuration, {state}", best=best.value)
    chosen, score, against, error = best.number, best.value, base.value, 0.0
    if found.noise is not None:
        own, top = _standing(scene, base), _standing(scene, found.trial)
        chosen, score, against, error = top.trial.number, top.mean, own.mean, top.error(own)
    difference = score - against
    relative = difference / abs(against) if against else None
    values = (difference, relative)
    if words := against_baseline(scene, best, base):
        return Comparison(words, *values, better=best.number != base.number, best=score, baseline=against)
    if chosen == base.number:
        others = len(configurations(t for t in scene.present if t.value is not None)) - 1
        why = f": trial {base.number} is the best of {others + 1}" if others else ", since no other trial has a score"
        return Comparison(f"not better than your own configuration{why}", *values, best=score, baseline=against)
    gain = difference if scene.spec.direction == "maximize" else -difference
    if found.noise is not None and gain <= error:
        why = f"{number(score)} against {number(against)}, within the noise"
        return Comparison(f"a tie with your own configuration: {why}", *values, best=score, baseline=against)
    percent = "" if relative is None else f" ({100 * abs(relative):.3g} %)"
    words = f"better by {number(abs(difference))}{percent} than your own configuration"
    return Comparison(words, *values, better=True, best=score, baseline=against)


def _standing(scene: Scene, trial: Trial) -> Standing:
    return next(s for s in standings(scene.spec, scene.present) if any(t.number == trial.number for t in s.runs))


def _same(one: Value, other: Value) -> bool:
    # 1, 1.0 and True are different choices.
    return type(one) is type(other) and one == other


def writable(text: str, stream: TextIO) -> str:
    """Returns text with a question mark for each sign that the stream's encoding does not have."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
