"""What report.html says beside charts and table: what the LLM made of it, failures, importance, what was not tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from neuropt_core.advice import Consultation, lessons
from neuropt_core.expectations import calibration
from neuropt_core.sinks._html_markup import Markup, joined, tag
from neuropt_core.sinks._html_thin import shortened
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import number, one_line
from neuropt_core.taxonomy import kind_of
from neuropt_core.trial import Trial

_DIAGNOSES, _REJECTED, _TEXT = 6, 30, 600
_BARS = 12
_JOURNAL = "neuropt/journal.jsonl"


def importance(scene: Scene) -> Markup:
    """Returns bars of what mattered to a good score; "" where that is not known."""
    if not scene.importance:
        return Markup("")
    ranked = sorted(scene.importance.items(), key=lambda item: (-item[1], item[0]))
    top = max(ranked[0][1], 1e-9)
    rows = []
    for name, share in ranked[:_BARS]:
        bar = tag("rect", width=f"{max(0.5, 100 * share / top):.1f}%", height="100%", rx=2)
        picture = tag("svg", bar, class_="bar", aria_hidden="true", height=10, width="100%")
        rows.append(tag("li", tag("span", one_line(name), class_="name"), tag("b", f"{100 * share:.0f} %"), picture))
    more = len(ranked) - len(rows)
    unshown = f"; {more} more are not shown" if more else ""
    note = f"The share of each parameter in what made trials good (PED-ANOVA){unshown}."
    return tag(
        "figure",
        tag("h3", "What mattered"),
        tag("ol", *rows, class_="bars"),
        tag("figcaption", note),
        class_="card importance",
        id="importance",
    )


def expectation(scene: Scene) -> str:
    """Returns how the expectations have held, in words; "" where none was stated."""
    found = calibration(scene.present, scene.spec.direction)
    if found is None:
        return ""
    bias = number(abs(found.bias), 2)
    leaning = "optimistic" if found.bias > 0 else "pessimistic"
    biased = f"In the median they were too {leaning} by {bias}." if found.bias else "In the median they were right."
    share = f"{100 * found.coverage:.0f} %"
    return f"{found.inside} of {found.stated} scores ({share}) lay within p10 to p90; 80 % should. {biased}"


def failures(scene: Scene) -> Markup:
    """Returns the failures by kind, with the trials and what was told of them."""
    kinds: dict[str, list[Trial]] = {}
    for trial in scene.trials:
        if trial.outcome is not None and trial.outcome.failure is not None:
            kinds.setdefault(trial.outcome.failure.kind, []).append(trial)
    if not kinds:
        return Markup("")
    items = []
    for kind, trials in sorted(kinds.items(), key=lambda item: -len(item[1])):
        about = kind_of(kind)
        heading = tag("p", tag("b", f"{about.words}: {len(trials)}"), ". ", about.means)
        items.append(tag("li", heading, tag("p", "Trials ", _links(t.number for t in trials), class_="note")))
    return tag("section", tag("h2", "Failures"), tag("ul", *items, class_="failures"), id="failures")


def learnt(scene: Scene) -> Markup:
    """Returns the lessons that stand and the latest diagnoses, marked as an LLM's words; "" where there are none."""
    kept = lessons(scene.consulted)
    diagnosed = [c for c in scene.consulted if c.diagnosis.strip()]
    if not kept and not diagnosed:
        return Markup("")
    models = ", ".join(dict.fromkeys(one_line(c.model) for c in diagnosed or scene.consulted))
    items = [
        tag(
            "li",
            tag("p", shortened(lesson.text, _TEXT, _JOURNAL), dir="auto"),
            tag("p", *_evidence("Supported by ", lesson.supports), *_evidence("Contradicted by ", lesson.contradicts),
                class_="note"),
            value=place,
        )
        for place, lesson in kept.items()
    ]  # fmt: skip
    complaints = sum(bool(c.complaints) for c in scene.consulted)
    odd = f" {complaints} of its replies could not be used in whole." if complaints else ""
    note = f"Written by {models}: an LLM's reading of the trials, not a measurement.{odd}"
    return tag(
        "section",
        tag("h2", "What the LLM made of it"),
        tag("p", note, class_="lead"),
        tag("h3", "Lessons that stand") if items else None,
        tag("ol", *items, class_="lessons") if items else None,
        _diagnoses(diagnosed),
        id="learnt",
    )


def _diagnoses(found: Sequence[Consultation]) -> Markup:
    if not found:
        return Markup("")
    items = [
        tag("li", tag("p", f"Before trial {c.number}", class_="note"),
            tag("p", shortened(c.diagnosis, _TEXT, _JOURNAL), dir="auto"))
        for c in reversed(found[-_DIAGNOSES:])
    ]  # fmt: skip
    more = len(found) - len(items)
    title = f"Diagnoses, the latest first{f'; {more} earlier ones are in {_JOURNAL}' if more else ''}"
    return tag("details", tag("summary", title), tag("ul", *items, class_="diagnoses"))


def rejected(scene: Scene) -> Markup:
    """Returns the proposals that were legal and not tried, collapsed; "" where there are none."""
    if not scene.rejected:
        return Markup("")
    items = [
        tag("li", tag("b", r.rule), f", instead of trial {r.number}: ", shortened(r.why, _TEXT, _JOURNAL), " ",
            tag("q", shortened(one_line(r.proposal.rationale), 160, _JOURNAL), dir="auto"))
        for r in scene.rejected[-_REJECTED:]
    ]  # fmt: skip
    more = len(scene.rejected) - len(items)
    title = f"Proposals that were not tried: {len(scene.rejected)}{f', the last {len(items)} of them' if more else ''}"
    return tag("details", tag("summary", title), tag("ul", *items), id="rejected", class_="rejected")


def setup(scene: Scene) -> Markup:
    """Returns what the study is, for a colleague who sees only this page: task, space, constraints."""
    spec, space = scene.spec, scene.spec.space
    lines: list[Markup] = [tag("p", shortened(spec.task, _TEXT, "your config"), dir="auto")] if spec.task else []
    if spec.constraints:
        lines.append(tag("p", "Constraints: ", ", ".join(map(str, spec.constraints))))
    if spec.fixed:
        lines.append(tag("p", "In every trial: ", tag("code", " ".join(spec.fixed))))
    lines.append(tag("p", f"{len(space)} parameters are searched, with seed {spec.seed}."))
    if scene.left_out:
        numbers = sorted(scene.left_out)
        lines.append(tag("p", "The study was changed: these trials do not fit it any more, are listed and cannot be"
                         " the best: ", _links(numbers)))  # fmt: skip
    return tag("details", tag("summary", "The setup"), *lines, id="setup")


def _evidence(title: str, numbers: Sequence[int]) -> list[Markup | str]:
    return [title, _links(numbers), ". "] if numbers else []


def _links(numbers: Iterable[int]) -> Markup:
    return joined((tag("a", str(n), href=f"#trial-{n}", class_="to") for n in numbers), ", ")
