"""What happened so far, as the prompt shows it: within a number of characters, whatever the number of trials.

Rows of the best, the latest and the running trials; all failures as rules; all trials as marginals; the lessons; the
record of the proposers; a few curves point by point. Where that is too long, it is made smaller one step of `_STEPS`
after another until it fits: points and digests go first, then rows, then marginals, and what is left out is said where
it was. The best configuration is never cut: it is what the next one is most often a change of.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from neuropt_core.advice import Lesson, Request, lessons
from neuropt_core.llm import _beliefs, _curves, _marginals
from neuropt_core.llm._aside import rejected_lines
from neuropt_core.llm._failures import failures
from neuropt_core.llm._goal import front, front_line
from neuropt_core.llm._marginals import Marginal, marginals
from neuropt_core.llm._record import record
from neuropt_core.llm._replicates import fold
from neuropt_core.llm._rows import Rows, told_hypotheses
from neuropt_core.llm._scores import Scores, numbers, quantile
from neuropt_core.llm._text import tidy
from neuropt_core.llm.digest import usual_pace
from neuropt_core.llm.schema import Slot, slots
from neuropt_core.trial import Trial, TrialState

_LESSON = 300
_FAILURES = "Failures, each of them a broken constraint to the search:"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each section is shown.

    Attributes:
        best: Rows of the best trials.
        latest: Rows of the latest trials.
        running: Rows of running trials.
        digests: Rows of the best and of the latest trials that show their digest; the others show its label.
        changed: Differing parameters in a row.
        parent: 1 where the row of the best trial's parent is whole, too, else 0.
        hypotheses: Rows that show their hypothesis.
        curves: Curves point by point.
        points: Points of each of them.
        parameters: Lines of marginals, those whose groups differ most.
        choices: Choices within such a line.
        lessons: Lessons, the latest.
        failures: Kinds of failure.
        beliefs: Lines of the model's own card, those that the trials speak against most.
        rejected: Proposals that were not run, the latest.
    """

    best: int = 10
    latest: int = 16
    running: int = 8
    digests: int = 40
    changed: int = 24
    parent: int = 1
    hypotheses: int = 6
    curves: int = _curves.CURVES
    points: int = _curves.POINTS
    parameters: int = 80
    choices: int = 8
    lessons: int = 12
    failures: int = 8
    beliefs: int = 30
    rejected: int = 6


_STEPS: tuple[dict[str, int], ...] = (
    {"latest": 12, "points": 8},
    {"hypotheses": 3, "curves": 2, "digests": 6},
    {"best": 8, "latest": 8, "running": 6, "beliefs": 16},
    {"digests": 2, "choices": 5},
    {"changed": 12},
    {"parameters": 30, "lessons": 10, "rejected": 4},
    {"best": 6, "latest": 6, "running": 4, "hypotheses": 1},
    {"digests": 1, "changed": 8, "parameters": 20, "choices": 3, "beliefs": 8},
    {"curves": 1, "lessons": 8, "failures": 5},
    {"best": 4, "latest": 4, "running": 2, "parameters": 12},
    {"changed": 4, "curves": 0, "hypotheses": 0, "lessons": 5, "beliefs": 4, "rejected": 2},
    {"best": 3, "latest": 2, "running": 1, "parameters": 6, "failures": 3, "lessons": 3},
    {
        "best": 1,
        "latest": 1,
        "changed": 2,
        "digests": 0,
        "parent": 0,
        "parameters": 3,
        "choices": 2,
        "failures": 1,
        "lessons": 1,
        "beliefs": 1,
        "rejected": 1,
    },
)


def history(request: Request, limit: int = 15_000) -> str:
    """Returns the trials in at most `limit` characters; after the last step it is as long as it is.

    Args:
        request: What is known.
        limit: In characters. The last step needs about 4,000 where names and words are as long as they can be, and the
            best configuration besides: of 60 parameters that all differ another 1,000 to 4,000.
    """
    if not request.trials:
        return "No trial has run yet."
    view = _View(request)
    sizes = Sizes()
    text = view.text(sizes)
    for step in _STEPS:
        if len(text) <= limit:
            break
        sizes = replace(sizes, **step)
        text = view.text(sizes)
    return text


class _View:
    """The sections of a request's history, at any sizes."""

    def __init__(self, request: Request) -> None:
        self._all = request.trials
        self._folded = fold(request)
        self._request = request = self._folded.request
        self._fields: dict[str, Slot] = {slot.parameter.name: slot for slot in slots(request.space)}
        self._scores = Scores.of(request)
        self._failures = failures(request, self._fields)
        self._record = record(request, self._scores)
        self._lessons = lessons(request.consulted)
        self._pace = usual_pace(t.curve for t in request.trials)
        self._digests: dict[int, tuple[str, str]] = {}
        self._lines: dict[int, tuple[Marginal, ...]] = {}
        self._front = frozenset(t.number for t in front(request))
        self._believed = _beliefs.card_lines(request, self._fields, self._scores)

    def text(self, sizes: Sizes) -> str:
        """Returns all sections that have something to say."""
        own, request = self._record, self._request
        shown = [
            self._summary(),
            *self._trials(sizes),
            *_section(_FAILURES, self._failures, sizes.failures, "kinds of failure, each rarer"),
            *self._marginals(sizes),
            *_section(_beliefs.HEADER, self._believed, sizes.beliefs, "beliefs, which the trials speak less against"),
            *_section(
                "Proposals of yours that were not run (what differs from #0 | the rule that refused it), latest first:",
                rejected_lines(request, self._fields, min(sizes.changed, 8)),
                sizes.rejected,
                "earlier ones",
            ),
            *self._taught(sizes),
            *(["\nRecord of those who propose:", *own] if own else []),
            *self._curves(sizes),
        ]
        return "\n".join(shown)

    def _summary(self) -> str:
        trials = self._all
        counts = [
            (sum(t.state is state for t in trials if t.teaches or t.outcome is None), word)
            for state, word in (
                (TrialState.COMPLETE, "scored"),
                (TrialState.FAIL, "failed"),
                (TrialState.PRUNED, "stopped early"),
                (TrialState.RUNNING, "running"),
            )
        ]
        counts.append((sum(t.outcome is not None and not t.teaches for t in trials), "lost to the machine"))
        words = f"Trials so far: {len(trials)}, {', '.join(f'{n} {word}' for n, word in counts if n)}."
        values = [t.value for t in self._scores.ranked if t.value is not None]
        if not values:
            return f"{words} No score yet."
        words += f" Best so far: #{self._scores.ranked[0].number} with {values[0]:.5g}"
        if len(values) >= 4:
            middle = " / ".join(f"{quantile(values, q):.4g}" for q in (0.25, 0.5, 0.75))
            words += f"; quartiles of the scores {middle}; worst {values[-1]:.4g}"
        best = self._request.spec.constraints and not self._request.spec.feasible(self._scores.ranked[0])
        told = [f"{words}{', but no trial keeps all constraints yet' if best else ''}."]
        return " ".join(filter(None, [*told, self._folded.noise_words, front_line(self._request)]))

    def _trials(self, sizes: Sizes) -> list[str]:
        request = self._request
        running = [t for t in request.trials if t.state is TrialState.RUNNING]
        ended = [t for t in request.trials if t.state is not TrialState.RUNNING]
        ranked, first = self._scores.ranked, request.trials[:1]
        parent = [t for t in request.trials if ranked and t.number == ranked[0].proposal.parent]
        shown = (*first, *ranked[: sizes.best], *parent, *ended[-sizes.latest :])
        chosen = {t.number for t in (*shown, *running[-sizes.running :])}
        whole = {t.number for t in (*first, *ranked[:1], *parent[: sizes.parent])}
        told = (*first, *parent, *running[-sizes.running :])[: sizes.digests]
        read = {t.number for t in (*told, *ranked[: sizes.digests], *ended[-sizes.digests :][: sizes.digests])}
        hypotheses = told_hypotheses(request.trials, sizes.hypotheses)
        rows = Rows(
            self._folded,
            self._fields,
            self._scores,
            sizes.changed,
            hypotheses,
            self._strength,
            frozenset(whole),
            frozenset(read),
            self._pace,
            self._digests,
            self._front,
        )
        lines = ["\nTrials (number and proposer | what differs from #0 | outcome | expected score | curve):"]
        lines += [rows.row(t) for t in request.trials if t.number in chosen]
        left = [t for t in request.trials if t.number not in chosen]
        waiting = sum(t.state is TrialState.RUNNING for t in left)
        if len(left) > waiting:
            limits = f"neither among the {sizes.best} best nor the {sizes.latest} latest"
            lines.append(f"... {len(left) - waiting} more trials, {limits}; the sections below count them")
        if waiting:
            lines.append(f"... {waiting} more running trials")
        return lines

    @property
    def _strength(self) -> dict[str, float]:
        return {m.name: m.effect for m in self._marginal_lines(Sizes().choices)}

    def _marginal_lines(self, choices: int) -> tuple[Marginal, ...]:
        if choices not in self._lines:
            self._lines[choices] = marginals(self._request, self._fields, self._scores, choices)
        return self._lines[choices]

    def _marginals(self, sizes: Sizes) -> list[str]:
        if len(self._request.trials) < 3:
            return []
        lines = self._marginal_lines(sizes.choices)
        strongest = sorted(range(len(lines)), key=lambda i: (-lines[i].effect, i))[: sizes.parameters]
        kept: list[Marginal] = [lines[i] for i in sorted(strongest)]
        more = len(lines) - len(kept)
        return [
            f"\n{_marginals.HEADER}",
            *(line.line for line in kept),
            *([f"... {more} more parameters, whose scores differ less"] if more else []),
        ]

    def _taught(self, sizes: Sizes) -> list[str]:
        standing = list(self._lessons.items())
        trials = {t.number: t for t in self._request.trials}
        lines = [_lesson(number, lesson, trials) for number, lesson in reversed(standing)]
        return _section(
            "Lessons that stand (number, text, evidence), latest first:", lines, sizes.lessons, "older ones"
        )

    def _curves(self, sizes: Sizes) -> list[str]:
        lines = _curves.curves(self._request, sizes.curves, sizes.points) if sizes.curves else []
        return ["\nCurves point by point (step:value):", *lines] if lines else []


def _lesson(number: int, lesson: Lesson, trials: dict[int, Trial]) -> str:
    sides: list[tuple[str, Sequence[Trial]]] = [
        (word, [trials[n] for n in listed if n in trials])
        for word, listed in (("supported by", lesson.supports), ("contradicted by", lesson.contradicts))
    ]
    evidence = "; ".join(f"{word} {numbers(there)}" for word, there in sides if there)
    return f"{number}. {json.dumps(tidy(lesson.text, _LESSON), ensure_ascii=False)} {evidence}".rstrip()


def _section(head: str, lines: Sequence[Any], limit: int, rest: str) -> list[str]:
    more = len(lines) - limit
    return [f"\n{head}", *lines[:limit], *([f"... and {more} {rest}"] if more > 0 else [])] if lines else []
