"""One trial, one row: who proposed it and what for, what differs, how it scored beside what was expected, its curve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neuropt_core.advice import Request
from neuropt_core.figures import figure
from neuropt_core.llm._failures import failure_words
from neuropt_core.llm._goal import score_words
from neuropt_core.llm._replicates import Folded
from neuropt_core.llm._scores import Scores
from neuropt_core.llm._text import tidy
from neuropt_core.llm.digest import pace_words, read_curve
from neuropt_core.llm.schema import Slot
from neuropt_core.space import Value
from neuropt_core.trial import Trial

_WORD = 48
_HYPOTHESIS = 160
_MEASURED, _NAME = 4, 32
"""So many values that were measured once are shown, under names of so many characters."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What all rows are written from.

    Attributes:
        folded: What is known, replicates folded into what they repeat.
        fields: The slots, by name.
        scores: The scores of the request's trials.
        changed: The most differing parameters that a row shows, the strongest; the rest is counted.
        strength: How far a parameter tells scores apart, by name.
        whole: The numbers of the trials whose parameters are shown all.
        read: The numbers of the trials whose digest is shown whole; of the others the label alone.
        hypotheses: The numbers of the trials whose hypothesis is shown.
        pace: The usual seconds of a step, if they can be told.
        digests: The digests made so far, by number; reading long curves is most of the work.
        front: The numbers of the trials on the Pareto front, of several objectives.
    """

    folded: Folded
    fields: Mapping[str, Slot]
    scores: Scores
    changed: int
    hypotheses: frozenset[int]
    strength: Mapping[str, float] = field(default_factory=dict)
    whole: frozenset[int] = frozenset()
    read: frozenset[int] = frozenset()
    pace: float | None = None
    digests: dict[int, tuple[str, str]] = field(default_factory=dict)
    front: frozenset[int] = frozenset()

    @property
    def request(self) -> Request:
        """What is known."""
        return self.folded.request

    def row(self, trial: Trial) -> str:
        """Returns one line."""
        parts = [f"#{trial.number} {_who(trial)}", self._params(trial)]
        outcome = trial.outcome
        if outcome is None:
            parts.append("running")
        elif trial.value is not None:
            parts.append(f"{self._score(trial)}{self._pace(trial)}")
        elif not trial.teaches:
            kind = "" if outcome.failure is None else tidy(outcome.failure.kind, 40)
            parts.append(f"lost to the machine ({kind}), which says nothing of the configuration")
        elif outcome.failure is not None:
            parts.append(f"failed: {failure_words(outcome.failure)}")
        else:
            parts.append(f"stopped early: {_json(outcome.reason, 120)}{self._pace(trial)}")
        parts += [*_expected(trial), *_measured(trial, self.request.spec.direction)]
        if trial.number in self.hypotheses and trial.proposal.hypothesis:
            parts.append(f"hypothesis {_json(trial.proposal.hypothesis, _HYPOTHESIS)}")
        words = self._digest(trial)
        return " | ".join([*parts, words] if words else parts)

    def _score(self, trial: Trial) -> str:
        spec, again = self.request.spec, self.folded.repeated.get(trial.number)
        words = score_words(trial, spec, again)
        words += f", rank {self.scores.ranks[trial.number]}/{len(self.scores.ranks)}"
        best, noise = self.scores.ranked[0], self.folded.noise
        if len(spec.directions) > 1:
            return words + (", on the front" if trial.number in self.front else "")
        tie = noise is not None and trial is not best and spec.feasible(trial) == spec.feasible(best)
        if (
            tie
            and best.value is not None
            and trial.value is not None
            and abs(trial.value - best.value) < (noise or 0.0)
        ):
            words += f", a tie with #{best.number}"
        return words

    def _digest(self, trial: Trial) -> str:
        if trial.number not in self.digests:
            failure = trial.outcome.failure if trial.outcome is not None else None
            kind = failure.kind if failure is not None else ""
            reading = read_curve(trial.curve, self.request.spec.direction, kind)
            self.digests[trial.number] = ("", "") if reading is None else (reading.label, reading.words)
        return self.digests[trial.number][trial.number in self.read]

    def _params(self, trial: Trial) -> str:
        first = self.request.trials[0]
        if trial.number == first.number:
            same = dict(trial.params) == self.request.space.defaults()
            return "the defaults above" if same else self._values(trial, {})
        return self._values(trial, first.params)

    def _values(self, trial: Trial, base: Mapping[str, Value]) -> str:
        limit = len(trial.params) if trial.number in self.whole else self.changed
        return params_words(trial.params, base, self.fields, limit, self.strength)

    def _pace(self, trial: Trial) -> str:
        words = pace_words(trial.curve, self.pace)
        return f", {words}" if words else ""


def params_words(
    params: Mapping[str, Value],
    base: Mapping[str, Value],
    fields: Mapping[str, Slot],
    limit: int,
    strength: Mapping[str, float] | None = None,
) -> str:
    """Returns the values that differ from `base`: the `limit` strongest in their own order, the others counted."""
    changed = [
        name
        for name, value in params.items()
        if name in fields and (name not in base or type(base[name]) is not type(value) or base[name] != value)
    ]
    kept = set(sorted(changed, key=lambda name: -(strength or {}).get(name, 0.0))[:limit])
    words = [f"{fields[name].alias}={_shown(fields[name], params[name])}" for name in changed if name in kept]
    more = [f"{len(changed) - limit} more differ"] if len(changed) > limit else []
    return ", ".join([*words, *more]) or "nothing"


def told_hypotheses(trials: Sequence[Trial], count: int) -> frozenset[int]:
    """Returns the numbers of the newest trials that state a hypothesis."""
    stated = [t.number for t in trials if t.proposal.hypothesis]
    return frozenset(stated[len(stated) - count :] if count < len(stated) else stated)


def _who(trial: Trial) -> str:
    p = trial.proposal
    words = p.source + (f" (for {p.stands_in_for})" if p.stands_in_for else "")
    if p.intent:
        words += f", {p.intent}"
    return words + (f" from #{p.parent}" if p.parent is not None else "")


def _expected(trial: Trial) -> list[str]:
    p = trial.proposal.predicted
    if p is None:
        return []
    words = f"expected {p.p10:.4g} / {p.p50:.4g} / {p.p90:.4g}"
    if trial.value is None:
        return [words]
    side = "below p10" if trial.value < p.p10 else "above p90" if trial.value > p.p90 else "within"
    return [f"{words}, came {side}"]


def _measured(trial: Trial, direction: str) -> list[str]:
    """Returns what was measured once, as at the end of training, beside the curve: an accuracy, a size, a time."""
    series = {name: trial.curve.series(name) for name in trial.curve.metrics}
    if all(len(points) > 1 for points in series.values()):
        return []
    reading = read_curve(trial.curve, direction)
    told = () if reading is None else (reading.metric, reading.twin)
    once = [name for name, points in series.items() if len(points) == 1 and name not in told]
    words = [f"{_json(name, _NAME)}={series[name][0][1]:.4g}" for name in once[:_MEASURED]]
    return [f"measured {', '.join(words)}"] if words else []


def _shown(slot: Slot, value: Value) -> str:
    word = figure(value, slot.parameter) if isinstance(value, float) else slot.label(value)
    return word if len(word) <= _WORD else f"{word[: _WORD - 1]}…"


def _json(text: str, limit: int) -> str:
    return json.dumps(tidy(text, limit), ensure_ascii=False)
