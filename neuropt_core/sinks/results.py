"""The results on disk, `results.yaml` and `trials.csv`, written whole after every trial."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from neuropt_core.advice import Consultation
from neuropt_core.files import write_whole
from neuropt_core.sinks._sections import breaks_what, further_sections, scalar, scalars, values
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import compare, one_line, plain, reason
from neuropt_core.space import Value
from neuropt_core.spending import PRICES_OF, Spent
from neuropt_core.taxonomy import kind_of
from neuropt_core.trial import Trial, TrialState

YAML_NAME = "results.yaml"
CSV_NAME = "trials.csv"

_LEADING = ("number", "state", "value", "seconds", "source", "stands_in_for", "failure", "repeats", "seed", "retries")
_AGAINST = "The best trial against trial 0, which is your own configuration."
_ONCE = "Each value is that of\n# one run, so a small difference may be chance."
_REPEATED = "The values are\n# posterior means of the recommended configuration and your own, over their runs."
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What makes a spreadsheet take a cell for a formula; the last four are the full-width forms of = + - @."""


class ResultsSink:
    """Keeps `results.yaml` and `trials.csv` in a folder up to date; a reader never sees half of a file.

    Args:
        folder: Where to write, normally ``hydra.sweep.dir``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def study_started(self, scene: Scene) -> None:
        """Writes what a resumed study holds already; a new one has nothing to show."""
        if scene.trials:
            self._write(scene, "running")

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Does nothing: a trial is shown when it ends."""

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Writes both files."""
        self._write(scene, "running")

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Does nothing: consultations are in the journal."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Writes both files for the last time in this process."""
        self._write(scene, f"ended: {one_line(reason)}")

    def _write(self, scene: Scene, status: str) -> None:
        write_whole(self.folder / YAML_NAME, results_yaml(scene, status))
        write_whole(self.folder / CSV_NAME, trials_csv(scene))


def results_yaml(scene: Scene, status: str = "running") -> str:
    """Returns the text of `results.yaml`.

    `yaml.safe_load` gives plain numbers, strings, lists and mappings back, the very ones of the study. The first three
    keys are those of the Hydra Optuna sweeper's `optimization_results.yaml`.
    """
    best = scene.best
    head = {
        "name": "neuropt",
        "best_params": {} if best is None else scalars(best.params),
        "best_value": values(best),
    }
    sections: list[tuple[str, dict[str, Any]]] = [
        ("neuropt rewrites this file after every trial. One line a trial: trials.csv.", head),
        ("The study.", {"study": _study(scene, status)}),
        ("The best trial. `command` runs its configuration once, outside a sweep.", {"best": _best(scene, best)}),
        ("What to take, as far as noise lets it be told.", {"recommended": _recommended(scene)}),
        (f"{_AGAINST} {_REPEATED if _noisy(scene) else _ONCE}", {"comparison": _comparison(scene)}),
        *further_sections(scene),
        ("Trials without a score, and why.", {"failures": _without_score(scene, TrialState.FAIL)}),
        ("Trials that were stopped early, and why.", {"pruned": _without_score(scene, TrialState.PRUNED)}),
    ]
    return "\n".join(f"# {comment}\n{_dump(content)}" for comment, content in sections)


def trials_csv(scene: Scene) -> str:
    """Returns the text of `trials.csv`: one line a trial, one column a parameter.

    Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers. A parameter that
    is not active in a trial leaves its cell empty. Of several objectives ``value`` is the first, ``value_1`` the second
    and so on; ``breaks`` stands where there are constraints, and tells which a trial breaks. A parameter named like one
    of the fixed columns is shown as ``params.<name>``.
    """
    before = dict.fromkeys(name for t in scene.trials if t.number in scene.left_out for name in t.params)
    names = tuple(dict.fromkeys((*scene.spec.space.names, *before)))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    further = [f"value_{place}" for place in range(1, len(scene.spec.directions))]
    breaks = ["breaks"] if scene.spec.constraints else []
    fixed = (*_LEADING, *further, *breaks, "rationale")
    titles = [f"params.{name}" if name in fixed else name for name in names]
    behind = _LEADING.index("value") + 1
    writer.writerow(
        [_cell(t) for t in (*_LEADING[:behind], *further, *_LEADING[behind:], *breaks, *titles, "rationale")]
    )
    for trial in scene.trials:
        outcome, proposal = trial.outcome, trial.proposal
        leading = (
            trial.number,
            trial.state.value,
            *(trial.values or [""] * (1 + len(further))),
            "" if outcome is None else round(outcome.seconds, 3),
            proposal.source,
            proposal.stands_in_for,
            reason(trial),
            "" if proposal.source != "replicate" or proposal.parent is None else proposal.parent,
            "" if proposal.seed is None else proposal.seed,
            scene.retries.get(trial.number, 0),
            *(breaks_what(scene, trial) for _ in breaks),
        )
        params = [trial.params.get(name, "") for name in names]
        writer.writerow([_cell(value) for value in (*leading, *params, proposal.rationale)])
    return file.getvalue()


def _study(scene: Scene, status: str) -> dict[str, Any]:
    states = [trial.state for trial in scene.trials]
    return {
        "name": scalar(scene.spec.name),
        "status": status,
        "direction": list(scene.spec.directions) if scene.spec.further else scene.spec.direction,
        **({"constraints": [str(c) for c in scene.spec.constraints]} if scene.spec.constraints else {}),
        "advisor": scalar(scene.advisor),
        "seed": scalar(scene.spec.seed),
        "proposed_by": _proposed_by(scene),
        "trials": {
            "done": sum(state is not TrialState.RUNNING for state in states),
            "of": scalar(scene.n_trials),
            **{state.value.lower(): states.count(state) for state in TrialState},
        },
        **({"retries": sum(scene.retries.values())} if scene.retries else {}),
        **({"budget": budget} if (budget := _budget(scene)) else {}),
        **({"llm": _spending(scene.spent)} if scene.spent.calls else {}),
    }


def _budget(scene: Scene) -> dict[str, Any]:
    """Returns what was used of each limit that is set."""
    limits, used = scene.limits, scene.used
    wall = {"seconds": round(used.seconds, 1), "of": limits.wall_clock}
    hours = {"hours": round(used.gpu_hours, 4), "of": limits.gpu_hours, "gpus_per_trial": limits.gpus}
    return {
        **({} if limits.wall_clock is None else {"wall_clock": wall}),
        **({} if limits.gpu_hours is None else {"gpu_hours": hours}),
    }


def _noisy(scene: Scene) -> bool:
    return scene.recommended is not None and scene.recommended.noise is not None


def _recommended(scene: Scene) -> dict[str, Any] | None:
    found = scene.recommended
    if found is None:
        return None
    return {
        "number": found.trial.number,
        "words": plain(found.words),
        "mean": scalar(found.mean),
        "standard_error": scalar(found.sd),
        "runs": found.n,
        "ties": [trial.number for trial in found.ties],
        "noise": scalar(found.noise),
        "command": scene.reproduce(found.trial),
    }


def _spending(spent: Spent) -> dict[str, Any]:
    usd = "unknown" if spent.usd is None else round(spent.usd, 6)
    counted = {"calls": spent.calls, "tokens": spent.tokens, "usd": usd, "prices_of": PRICES_OF}
    return counted | ({"calls_charged_with_the_most": spent.guessed} if spent.guessed else {})


def _best(scene: Scene, best: Trial | None) -> dict[str, Any] | None:
    if best is None:
        return None
    return {
        "number": best.number,
        "value": values(best),
        **({"breaks": breaks_what(scene, best)} if breaks_what(scene, best) else {}),
        "command": scene.reproduce(best),
        "overrides": [str(override) for override in scene.overrides.get(best.number, ())],
        "params": scalars(best.params),
        "source": str(best.proposal.source),
        "stands_in_for": str(best.proposal.stands_in_for),
        "rationale": plain(best.proposal.rationale).strip(),
    }


def _comparison(scene: Scene) -> dict[str, Any]:
    found = compare(scene)
    return {
        "result": found.words,
        "baseline_value": values(scene.baseline) if scene.spec.further else scalar(found.baseline),
        "best_value": values(scene.best) if scene.spec.further else scalar(found.best),
        "difference": scalar(found.difference),
        "relative": scalar(found.relative),
    }


def _without_score(scene: Scene, state: TrialState) -> list[dict[str, Any]]:
    return [{"number": t.number, "reason": reason(t)} | _failure(t) for t in scene.trials if t.state is state]


def _failure(trial: Trial) -> dict[str, str]:
    failure = None if trial.outcome is None else trial.outcome.failure
    if failure is None:
        return {}
    shown = {"traceback": plain(failure.traceback), "log": plain(failure.log)}
    return {"told_as": kind_of(failure.kind).told_as, **{name: text for name, text in shown.items() if text}}


def _proposed_by(scene: Scene) -> dict[str, int]:
    """Counts the trials by who proposed them, stand-ins by their own name: no study passes for an LLM's that is not."""
    marks = [(t.proposal.source, t.proposal.stands_in_for) for t in scene.trials]
    names = [f"{source} standing in for {absent}" if absent else source for source, absent in marks]
    return {name: names.count(name) for name in dict.fromkeys(names)}


class _Dumper(yaml.SafeDumper):
    """Chooses how text is written."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None  # A block reads better than a quoted string of several lines.
    if not text.replace("\n", "").isprintable():
        style = '"'  # PyYAML's other styles lose a next-line character (U+0085).
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _dump(content: Mapping[str, Any]) -> str:
    # No folding of long lines: a command must stay one line to be copied.
    text: str = yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)
    return text


def _cell(value: Value) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return harmless(value) if isinstance(value, str) else repr(scalar(value))


def harmless(text: str) -> str:
    """Returns text on one line, with an apostrophe in front where a spreadsheet would take it for a formula."""
    text = one_line(text)
    return f"'{text}" if text.startswith(_FORMULA) else text
