"""The table of report.html: one line a trial, and below it the reasons; whole without any script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuropt_core.expectations import surprise, verdict
from neuropt_core.sinks._html_head import brief, command
from neuropt_core.sinks._html_markup import Child, Markup, joined, minus, tag
from neuropt_core.sinks._html_thin import share, shortened
from neuropt_core.sinks._objectives import broken, difference, score
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.results import CSV_NAME, YAML_NAME
from neuropt_core.sinks.text import changed, first_sentence, literal, number, one_line, plain, reason, source
from neuropt_core.space import Value
from neuropt_core.tracking import RunRecord
from neuropt_core.trial import Trial, TrialState

Runs = Mapping[int, Sequence[RunRecord]]
"""Trial number -> the runs that its own script has made in W&B."""

COLUMNS = (
    ("n", "Trial"),
    ("s", "State"),
    ("v", "Score"),
    ("d", "vs trial 0"),
    ("w", "Proposed by"),
    ("e", "Expected"),
    ("t", "Time"),
)
"""Key for sorting, title."""

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
_LEAST = 60
"""Bytes that each text of a trial keeps in any case."""
_CHANGED = 8
_JOURNAL = "neuropt/journal.jsonl"


def table(scene: Scene, runs: Runs, most: int = _LEAST) -> Markup:
    """Returns the table of all trials, in the order of their numbers; longer texts are cut to `most` bytes."""
    own = 0 if scene.baseline is None else scene.baseline.number
    titles = [tag("th", title.replace("trial 0", f"trial {own}"), scope="col", data_sort=key) for key, title in COLUMNS]
    caption = tag("caption", "All trials. Below each, why it was proposed.", class_="sr")
    bodies = [_body(scene, trial, runs.get(trial.number, ()), most) for trial in scene.trials]
    return tag("table", caption, tag("thead", tag("tr", *titles)), *bodies, id="trials", class_="trials")


def table_within(scene: Scene, runs: Runs, room: int) -> Markup:
    """Returns the table, its texts cut as far as they must be for it to have at most `room` bytes, if that can be."""
    lengths = [len(plain(text).encode()) for trial in scene.trials for text in _texts(trial)]
    least = table(scene, runs)
    most = share(lengths, room - len(least.encode()) + sum(min(length, _LEAST) for length in lengths), _LEAST)
    if most <= _LEAST:
        return least
    made = table(scene, runs, most)
    if (over := len(made.encode()) - room) > 0:
        # Escaped text is longer than it was: up to five times, where it is all angle brackets and ampersands.
        texts = len(made.encode()) - len(least.encode())
        made = table(scene, runs, max(_LEAST, round(most * (texts - over) / texts)))
    return made


def _texts(trial: Trial) -> list[str]:
    proposal, outcome = trial.proposal, trial.outcome
    failure = None if outcome is None else outcome.failure
    found = [proposal.rationale, proposal.hypothesis, proposal.falsifier]
    return found if failure is None else [*found, failure.traceback, failure.log]


def _body(scene: Scene, trial: Trial, runs: Sequence[RunRecord], most: int) -> Markup:
    """Returns a trial's two lines; their looks follow from the places of the cells, which keeps the page small."""
    expected, base = trial.proposal.predicted, scene.baseline
    words = verdict(trial, scene.spec.direction) if trial.value is not None else ""
    span = "" if expected is None else f"{number(expected.p10, 3)} to {number(expected.p90, 3)}"
    lacking = broken(scene.spec, trial)
    against = "" if base is None or base.number == trial.number or not trial.values else difference(trial, base)
    cells = (
        tag("th", trial.number, scope="row"),
        tag("td", STATES[trial.state], tag("small", "left out") if trial.number in scene.left_out else None),
        tag("td", score(trial) if trial.values else "", tag("small", lacking) if lacking else None),
        tag("td", minus(against)),
        tag("td", tag("i", class_=f"key {trial.proposal.source}"), source(trial)),
        tag("td", tag("span", words, class_=words.partition(" ")[0]) if words else None, tag("small", span)
            if span else None),
        tag("td", "" if trial.outcome is None else brief(trial.outcome.seconds)),
    )  # fmt: skip
    why = tag("tr", tag("td", *_changed(scene, trial), _details(scene, trial, runs, most), colspan=len(cells)))
    return tag("tbody", tag("tr", *cells), why, id=f"trial-{trial.number}", data_state=STATES[trial.state])


def _changed(scene: Scene, trial: Trial) -> list[Child]:
    base = scene.baseline
    found = changed(scene, trial)
    if base is not None and trial.number == base.number:
        return [tag("small", "your own configuration")]
    if not found:
        return [tag("small", f"same as trial {0 if base is None else base.number}")]
    shown = [_pair(name, value) for name, value in list(found.items())[:_CHANGED]]
    more = [tag("small", f"and {len(found) - _CHANGED} more")] if len(found) > _CHANGED else []
    return [joined([*shown, *more], " ")]


def _pair(name: str, value: Value) -> Markup:
    text = number(value, 4) if isinstance(value, float) else literal(value)
    return tag("code", one_line(name), "=", tag("b", text))


def _details(scene: Scene, trial: Trial, runs: Sequence[RunRecord], most: int) -> Markup:
    proposal = trial.proposal
    sentence = first_sentence(proposal.rationale, 200)
    ended = reason(trial)
    summary = tag("summary", tag("b", ended) if ended else None, " " if ended else None,
                  tag("q", sentence, dir="auto"))  # fmt: skip
    items: list[Markup] = []
    if rest := _after(plain(proposal.rationale), sentence):
        items += _said("Why", shortened(rest, most, CSV_NAME))
    for title, said in (("Hypothesis", proposal.hypothesis), ("What would refute it", proposal.falsifier)):
        if said:
            items += _said(title, shortened(said, most, _JOURNAL))
    items += _facts(scene, trial, most)
    if links := [_run(run) for run in runs]:
        items += _item("Runs in W&B", joined(links, ", "))
    items += _item("Run it once", *command(scene.reproduce(trial)))
    return tag("details", summary, tag("dl", *items))


def _after(text: str, sentence: str) -> str:
    """Returns what follows the sentence with which a text begins; the whole text where that was cut."""
    if sentence.endswith("…"):
        return text
    begin, left = 0, len("".join(sentence.split()))
    while left and begin < len(text):
        left -= not text[begin].isspace()
        begin += 1
    return text[begin:].strip()


def _facts(scene: Scene, trial: Trial, most: int) -> list[Markup]:
    proposal, outcome = trial.proposal, trial.outcome
    items: list[Markup] = []
    expected, sigmas = proposal.predicted, surprise(trial, scene.spec.direction)
    if expected is not None:
        text = f"p10 {number(expected.p10)}, p50 {number(expected.p50)}, p90 {number(expected.p90)}"
        if sigmas is not None:
            text += f"; the score is {abs(sigmas):.2g} sd {'better' if sigmas > 0 else 'worse'} than the median"
        items += _item("Expected", text)
    if proposal.parent is not None:
        link = tag("a", f"trial {proposal.parent}", href=f"#trial-{proposal.parent}", class_="to")
        items += _item("Builds on", link, f", to {proposal.intent}" if proposal.intent else None)
    elif proposal.intent:
        items += _item("Intent", proposal.intent)
    if proposal.seed is not None:
        items += _item("Seed", str(proposal.seed))
    if again := scene.retries.get(trial.number):
        items += _item("Launched again", f"{again} times, since a machine was at fault")
    failure = None if outcome is None else outcome.failure
    for title, text in () if failure is None else (("Traceback", failure.traceback), ("Printed last", failure.log)):
        if text.strip():
            items += _item(title, tag("pre", _end_of(text, most)))
    return items


def _item(title: str, *shown: Child) -> list[Markup]:
    return [tag("dt", title), tag("dd", *shown)]


def _said(title: str, text: str) -> list[Markup]:
    return [tag("dt", title), tag("dd", text, dir="auto")]


def _end_of(text: str, most: int) -> str:
    """Returns the end of a long text, where tracebacks say what it was."""
    text = plain(text).strip()
    return text if len(text) <= most else f"[{len(text) - most} more characters in {YAML_NAME}] … {text[-most:]}"


def _run(run: RunRecord) -> Markup:
    name = one_line(run.name or run.id)
    if run.url.startswith(("https://", "http://")):
        return tag("a", name, href=run.url, rel="noopener noreferrer", target="_blank")
    return tag("span", f"{name} ({run.mode})")
