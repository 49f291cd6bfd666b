"""Whether what lies in a sweep's folder agrees: the journal with itself, the results and the transcript with it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from neuropt_core.errors import StudyError
from neuropt_core.files import read_lines
from neuropt_core.journal import PLACE
from neuropt_core.replay import Replay, replayed
from neuropt_core.retold import at_work, records_of, scene_of
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.results import CSV_NAME, YAML_NAME, results_yaml, trials_csv
from neuropt_core.transcript import NAME

_COMPARED = ("best_params", "best_value", "best", "recommended", "comparison", "failures", "pruned")
"""What results.yaml tells of the trials; the rest counts time and money, which go on."""
_OF_STUDY = ("name", "direction", "seed", "proposed_by", "trials")


def faults(sweep_dir: Path) -> tuple[list[str], list[str]]:
    """Returns what was looked at and is sound, and what is not, a sentence each.

    Raises:
        StudyError: There is no study.
    """
    folder = sweep_dir.absolute()
    path = folder / PLACE
    if not path.is_file():
        records_of(folder)  # Says what is wrong with the folder.
    try:
        records, torn = read_lines(path)
    except ValueError as error:
        return [], [str(error)]
    works = at_work(folder)
    wrong = [f"{path}: its last line is torn; the sweep's command cuts it off"] if torn and not works else []
    try:
        state = replayed(records_of(folder), str(path))
        scene = scene_of(folder)
    except StudyError as error:
        return [], [*wrong, str(error)]
    good = [f"The journal: {len(records)} whole lines, {len(state.trials)} trials"]
    groups = (
        ("The order of what happened", list(_disorder(records))),
        ("A second replay yields the same state", _another(records, state)),
        (f"{YAML_NAME} and {CSV_NAME} agree with it", _results(scene, bool(works))),
        ("The transcript holds each call of an LLM", _transcript(folder, records)),
    )
    for words, found in groups:
        wrong += found
        good += [] if found else [words]
    return good, wrong


def _disorder(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    asked: set[int] = set()
    told: set[int] = set()
    last = 0.0
    for line, record in enumerate(records, start=1):
        op, number = record["op"], record.get("number", -1)
        if op == "ask":
            asked.add(number)
            told.discard(number)
        elif op in ("launch", "submit", "retry", "tell") and number not in asked:
            yield f"line {line}: trial {number} has a {op} and was not asked"
        elif op == "tell":
            if number in told:
                yield f"line {line}: trial {number} is told twice"
            told.add(number)
        elif op == "study" and line > 1:
            yield f"line {line}: a second study begins"
        now = record.get("time", last)
        if now < last - 60:  # Clocks are set right, by seconds.
            yield f"line {line}: was written {last - now:.0f} s before the line above it"
        last = max(last, now)
    if asked and asked != set(range(max(asked) + 1)):
        missing = sorted(set(range(max(asked) + 1)) - asked)
        yield f"the trials {', '.join(map(str, missing[:8]))} are missing"


def _another(records: Sequence[Mapping[str, Any]], state: Replay) -> list[str]:
    again = Replay(records[0])
    for record in records[1:]:
        again.take(record)
    # As text, since a curve may hold nan, which is not equal to itself.
    one, other = (repr((s.in_order, s.attempts, s.rejected, s.consulted, s.seconds)) for s in (state, again))
    return [] if one == other else ["a second replay of the journal yields another state"]


def _results(scene: Scene, works: bool) -> list[str]:
    """Returns in what the results on disk differ from those that the journal yields."""
    if all(trial.outcome is None for trial in scene.trials):
        return []
    found = []
    try:
        kept = yaml.safe_load((scene.folder / YAML_NAME).read_text(encoding="utf-8"))
        rows = (scene.folder / CSV_NAME).read_text(encoding="utf-8")
    except (OSError, ValueError, yaml.YAMLError) as error:
        return [f"{YAML_NAME} or {CSV_NAME} cannot be read ({' '.join(str(error).split())})"]
    if not isinstance(kept, dict):
        return [f"{YAML_NAME} holds no mapping"]
    drawn = yaml.safe_load(results_yaml(scene))
    if works:
        return []  # They are written after each outcome: the sweeper may be between the two.
    found += [f"{YAML_NAME}: {key} differs from the journal" for key in _COMPARED if kept.get(key) != drawn.get(key)]
    study = kept.get("study") or {}
    found += [
        f"{YAML_NAME}: study.{k} differs from the journal" for k in _OF_STUDY if study.get(k) != drawn["study"][k]
    ]
    one, other = _ended(rows), _ended(trials_csv(scene))
    rows_differing = sorted(number for number in one.keys() | other.keys() if one.get(number) != other.get(number))
    return found + [f"{CSV_NAME}: trial {number} differs from the journal" for number in rows_differing]


def _ended(text: str) -> dict[str, dict[str, str]]:
    rows = csv.DictReader(io.StringIO(text))
    return {row["number"]: row for row in rows if row.get("state") != "RUNNING"}


def _transcript(folder: Path, records: Sequence[Mapping[str, Any]]) -> list[str]:
    calls = Counter(
        (record.get("place", -1), record.get("key", ""))
        for record in records
        if record["op"] == "consult" and record.get("kind", "answered") not in ("not asked", "resumed")
    )
    if not calls:
        return []
    path = folder / "neuropt" / NAME
    try:
        entries, _ = read_lines(path)
    except (OSError, ValueError) as error:
        return [f"the transcript cannot be read ({error})"]
    held = Counter((entry.get("place", -1), entry.get("key", "")) for entry in entries)
    lost = calls - held
    return [f"{path}: holds no exchange for consultation {place}" for place, _ in sorted(lost)]
