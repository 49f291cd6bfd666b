"""The search in a notebook: a table that is drawn anew as trials end, in the output of its cell."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import duration, one_line, reason
from neuropt_core.trial import Trial, TrialState

_ROWS = 30
"""So many of the newest trials are shown, and the best one wherever it stands."""
_WHY = 160
_STYLE = "text-align:left;vertical-align:top;padding:2px 8px"


def in_notebook() -> bool:
    """Tells whether this process is a notebook's kernel; imports nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookSink:
    """Shows the study as one table in a cell's output."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._html: Any = None

    def study_started(self, scene: Scene) -> None:
        """Puts the table there."""
        display: Any = importlib.import_module("IPython.display")  # Of a notebook alone, and without types.
        self._html = display.HTML
        self._handle = display.display(self._html(study_html(scene)), display_id=True)

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Shows that the trial runs."""
        self._draw(scene)

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Shows what came of it."""
        self._draw(scene)

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Does nothing: what an LLM said stands beside its trials."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Shows why it ended."""
        self._draw(scene)

    def _draw(self, scene: Scene) -> None:
        if self._handle is not None:
            self._handle.update(self._html(study_html(scene)))


def study_html(scene: Scene) -> str:
    """Returns the study as a table: all text in it is escaped, since an LLM, or a script, may have written it."""
    best = scene.best
    shown = [t for t in scene.trials[-_ROWS:] if t.outcome is not None or t.number in scene.running]
    if best is not None and best.number not in [t.number for t in shown]:
        shown = [best, *shown]
    done = sum(trial.outcome is not None for trial in scene.trials)
    head = f"{scene.spec.name}: {done} trials"
    if best is not None and best.value is not None:
        head += f", best {best.value:.5g} (trial {best.number})"
    if scene.stopping:
        head += f"; ended: {scene.stopping}"
    titles = ("trial", "score", *scene.spec.space.names, "time", "source", "why")
    rows = "".join(_row(scene, trial, best is not None and trial.number == best.number) for trial in shown)
    heads = "".join(_cell(title, "th") for title in titles)
    return (
        f'<div class="neuropt"><p>{_text(head)}</p>'
        f'<table style="font-size:90%"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(scene: Scene, trial: Trial, best: bool) -> str:
    score = "runs" if trial.outcome is None else trial.state.value
    if trial.state is TrialState.COMPLETE and trial.value is not None:
        score = f"{trial.value:.5g}"
    spent = "" if trial.outcome is None else duration(trial.outcome.seconds)
    why = trial.proposal.rationale if trial.outcome is None or not reason(trial) else reason(trial)
    cells = [str(trial.number), score, *_values(trial.params, scene.spec.space.names), spent, trial.proposal.source]
    style = ' style="font-weight:bold"' if best else ""
    return f"<tr{style}>{''.join(map(_cell, cells))}{_cell(_cut(why))}</tr>"


def _values(params: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    values = (params.get(name, "") for name in names)
    return [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]


def _cut(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _WHY else f"{line[: _WHY - 1]}…"


def _cell(text: str, kind: str = "td") -> str:
    return f'<{kind} style="{_STYLE}">{_text(text)}</{kind}>'


def _text(text: str) -> str:
    return escape(one_line(text))
