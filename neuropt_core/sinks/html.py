"""The study as one page, `report.html`: self-contained, for people who have neither W&B nor a terminal."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from neuropt_core.advice import Consultation
from neuropt_core.files import write_whole
from neuropt_core.sinks._html_data import report_data
from neuropt_core.sinks._html_head import head
from neuropt_core.sinks._html_markup import Markup, data_block, tag
from neuropt_core.sinks._html_notes import expectation, failures, importance, learnt, rejected, setup
from neuropt_core.sinks._html_rows import STATES, Runs, table_within
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import one_line
from neuropt_core.tracking import RunRecord
from neuropt_core.trial import Trial

HTML_NAME = "report.html"

_STYLES = ("theme.css", "page.css", "charts.css", "table.css")
_SCRIPTS = ("draw.js", "store.js", "history.js", "curves.js", "parallel.js", "expected.js", "table.js", "main.js")
_SIZE = 194_000
"""Bytes of a page that texts of trials may fill; a study of hundreds of trials needs more without them."""
_SPARING = 25
"""So many times as long as the last writing took no other begins: a thousand quick trials must not wait for pages."""
_FIELD = re.compile(r"\{\{(\w+)\}\}")


class HtmlSink:
    """Keeps `report.html` in a folder up to date; a reader never sees half of it.

    Args:
        folder: Where to write, normally ``hydra.sweep.dir``.
        clock: Seconds, for how long writing took.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock, self._next = clock, -math.inf
        self._runs: dict[int, Sequence[RunRecord]] = {}

    def study_started(self, scene: Scene) -> None:
        """Writes what a resumed study holds already; a new one has nothing to show."""
        if scene.trials:
            self._write(scene, "running")

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Does nothing: the page is written when a trial ends."""

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Writes the page, unless that would take more than a small share of the sweep's time."""
        if self._clock() >= self._next:
            self._write(scene, "running")

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Does nothing: what was learnt shows with the next trial."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Writes the page for the last time in this process."""
        self._write(scene, f"ended: {one_line(reason)}")

    def _write(self, scene: Scene, status: str) -> None:
        began = self._clock()
        # The runs of a trial are looked for once it has ended, and not again: they lie on a disk that may be slow.
        for trial in scene.trials:
            if trial.outcome is not None and trial.number not in self._runs:
                self._runs[trial.number] = scene.runs(trial)
        written = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        page = report_html(scene, status=status, runs=self._runs, written=written)
        write_whole(self.folder / HTML_NAME, page)
        ended = self._clock()
        self._next = ended + _SPARING * (ended - began)


def report_html(scene: Scene, *, status: str = "running", runs: Runs | None = None, written: str = "") -> str:
    """Returns the text of `report.html`.

    Nothing in it is fetched from anywhere, and its policy lets a browser run and fetch nothing but the style and the
    script that neuropt ships, which it names by their hashes.

    Args:
        scene: The study.
        status: ``running``, or ``ended: ...`` with the reason.
        runs: The runs of each trial in W&B; None asks the scene, which reads the disk.
        written: When, for people.
    """
    runs = {trial.number: scene.runs(trial) for trial in scene.trials} if runs is None else runs
    style, script = _asset(_STYLES), f'(() => {{\n"use strict";\n{_asset(_SCRIPTS)}}})();\n'
    allowed = f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    data = report_data(scene)
    sources = list(dict.fromkeys(trial.proposal.source for trial in scene.trials))
    fields = {
        "policy": tag("meta", http_equiv="Content-Security-Policy", content=policy),
        "title": tag("title", f"{one_line(scene.spec.name)} · neuropt"),
        "style": Markup(style),
        "head": head(scene, status, written),
        "charts": _charts(scene),
        "learnt": learnt(scene),
        "failures": failures(scene),
        "filters": _filters(scene, sources),
        "rejected": rejected(scene),
        "setup": setup(scene),
        "data": data_block("data", data),
        "script": Markup(script),
    }
    fields["table"] = table_within(scene, runs, _SIZE - sum(len(part.encode()) for part in fields.values()))
    # One pass, so that nothing that stands in a field is taken for another one.
    return _FIELD.sub(lambda found: fields[found[1]], _asset(("template.html",)))


def _charts(scene: Scene) -> Markup:
    """Returns the places of the charts, which the script fills; each says what it shows."""
    figures = [
        _figure(
            "history", "First score" if scene.spec.further else "Best so far", "Every score in the order of the trials."
        )
    ]
    if scene.spec.further:
        figures.append(
            _figure(
                "pareto", "Two objectives", "Each trial by its first two scores; joined are those that no other beats."
            )
        )
    if any(trial.curve.points for trial in scene.trials):
        figures.append(_figure("curves", "Training curves", "What the jobs reported, step by step."))
    if words := expectation(scene):
        figures.append(_figure("expected", "Expected against actual", words))
    figures.append(importance(scene))
    figures.append(
        _figure(
            "parallel",
            "Parameters",
            "Each line is a trial; drag along an axis to keep those that cross it there.",
            "wide",
        )
    )
    return tag("div", *figures, class_="charts", id="charts")


def _figure(name: str, title: str, words: str, more: str = "") -> Markup:
    return tag(
        "figure",
        tag("h3", title),
        tag("div", class_="controls"),
        tag("div", class_="plot"),
        tag("figcaption", words),
        id=name,
        class_=f"card {more}".strip(),
    )


def _filters(scene: Scene, sources: Sequence[str]) -> Markup:
    """Returns the controls above the table, which the script shows."""
    states = list(dict.fromkeys(STATES[trial.state] for trial in scene.trials))
    choices = [("state", "State", states), ("source", "Proposed by", sources)]
    selects = [
        tag("label", title, tag("select", tag("option", "all", value=""), *(tag("option", n, value=n) for n in names),
                                id=f"filter-{name}"))
        for name, title, names in choices
    ]  # fmt: skip
    text = tag("label", "Text", tag("input", type="search", id="filter-text", placeholder="words, parameters, numbers"))
    clear = tag("button", "Show all", type="button", id="filter-clear")
    count = tag("output", id="filter-count", aria_live="polite")
    return tag(
        "form", text, *selects, clear, count, class_="filters", id="filters", hidden=True, aria_label="Filter trials"
    )


@lru_cache
def _asset(names: tuple[str, ...]) -> str:
    folder = files("neuropt_core.sinks").joinpath("report")
    return "".join(_lean(folder.joinpath(name).read_text(encoding="utf-8")) for name in names)


def _lean(text: str) -> str:
    """Returns source text without indentation and lines of comment: a fifth of it."""
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(("//", "/*")))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
