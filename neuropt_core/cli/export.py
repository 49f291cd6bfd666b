"""`neuropt export`: a trial's configuration as a file that the user's script runs, and as plain overrides."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra_plugins.neuropt_sweeper._export import Composed, Form, forms, hidden, plain_data, unlike
from neuropt_core.cli._script import Script, asked, script_of, written_of
from neuropt_core.errors import StudyError
from neuropt_core.files import write_whole
from neuropt_core.redact import GONE
from neuropt_core.sinks._objectives import score
from neuropt_core.sinks.base import Scene, quoted
from neuropt_core.sinks.text import first_sentence, one_line
from neuropt_core.trial import Trial

_SHOWN = 6
_ANOTHER = "your script composes it to another"


@dataclass(frozen=True, slots=True)
class Exported:
    """A configuration that was exported.

    Attributes:
        trial: Whose it is.
        overrides: What makes it, as Hydra's overrides, without secrets.
        command: What runs it once.
        secrets: The keys whose values the user must give.
        path: The file; None where none was written.
        lines: What is to be said of it.
        checked: Whether the script composes the file to what the trial had; None where that could not be seen.
    """

    trial: Trial
    overrides: tuple[str, ...]
    command: str
    secrets: tuple[str, ...] = ()
    path: Path | None = None
    lines: tuple[str, ...] = ()
    checked: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data for other programs."""
        return {
            "trial": self.trial.number,
            "values": list(self.trial.values),
            "overrides": list(self.overrides),
            "command": self.command,
            "give": list(self.secrets),
            "file": None if self.path is None else str(self.path),
            "checked": self.checked,
        }


def chosen(scene: Scene, number: int | None) -> Trial | None:
    """Returns the trial that is meant: the recommended one if no number is given; None if no trial has a score.

    Raises:
        StudyError: There is no trial of this number.
    """
    if number is None:
        return None if scene.recommended is None else scene.recommended.trial
    found = next((trial for trial in scene.trials if trial.number == number), None)
    if found is None:
        have = f"its trials are 0 to {scene.trials[-1].number}" if scene.trials else "it has none"
        raise StudyError(str(scene.folder), f"holds no trial {number}; {have}")
    return found


def as_overrides(scene: Scene, trial: Trial) -> Exported:
    """Returns a trial's configuration as overrides.

    Raises:
        StudyError: It was never launched, so that they are not known.
    """
    found = scene.overrides.get(trial.number)
    # The user's own configuration needs none, and a journal then keeps none.
    own = trial.proposal.source == "default" or (trial.proposal.source == "replicate" and trial.proposal.parent == 0)
    if found is None and not (own and trial.number in scene.folders):
        raise StudyError(f"trial {trial.number}", "has no overrides in the journal: it was not launched, or long ago")
    given = tuple(found or ())
    secrets = tuple(text.split("=", 1)[0].lstrip("+~") for text in given if GONE in text)
    return Exported(trial, given, scene.reproduce(trial), secrets)


def as_file(scene: Scene, trial: Trial, out: Path | None, *, named: bool, whole: bool, force: bool) -> Exported:
    """Writes a trial's configuration as a config of the user's script, once the script composes it to what it was.

    Args:
        scene: The study.
        trial: Whose configuration it is.
        out: The file; None for one in the folder of the script's configs, or in the sweep's where that is none.
        named: Whether the trial was asked for by its number, which then is the file's name.
        whole: Whether all of the config is wanted, not only what differs from the user's own.
        force: Whether a file that is there may be replaced.

    Raises:
        StudyError: It cannot be written, or the script composes it to something else.
    """
    plain = as_overrides(scene, trial)
    if scene.in_python:
        rule = "was searched in Python, so that there is no Hydra config to write"
        mend = f"--overrides prints the values; in Python they are search.config({trial.number})."
        raise StudyError(str(scene.folder), rule, mend=mend)
    script = script_of(scene.command, scene.folder / "multirun.yaml")
    path = _target(script, scene, out, f"trial-{trial.number}" if named else "best", force=force)
    folder = scene.folders.get(trial.number)
    job = None if folder is None else folder.parent if folder.name == "neuropt" else scene.folder
    config, kept = written_of(script, job, plain.overrides)
    said = [] if kept else ["Its own config was not kept: composed anew from your files as they are now."]
    form, checked, more = _proved(config, script, path, whole=whole)
    said += more
    words = [quoted(word) for word in script.start(path.stem, path.parent)]
    command = " ".join([*words, *(quoted(f"{key}=...") for key in config.secrets)])
    head = _head(scene, trial, form, command, config)
    for suffix, text in sorted(form.files.items(), reverse=True):  # The one that is named comes last.
        _write(path.with_stem(path.stem + suffix), ("" if suffix else head) + text)
    if config.secrets:
        said.append(f"Without secrets: give {', '.join(map(one_line, config.secrets))} on the command line.")
    if script.cwd is not None and script.cwd != Path.cwd():
        said.append(f"The script is to be started in {script.cwd}.")
    return Exported(trial, plain.overrides, command, config.secrets, path, tuple(said), checked)


def _target(script: Script, scene: Scene, out: Path | None, stem: str, *, force: bool) -> Path:
    own = script.folder if script.folder is not None and script.folder.is_dir() else scene.folder
    path = (own / f"{stem}.yaml" if out is None else out).absolute()
    if path.suffix != ".yaml" or path.is_dir():
        raise StudyError(str(path), "must be a file whose name ends in .yaml, as Hydra wants it")
    ours = [] if script.folder is None or script.config_name is None else [script.folder / f"{script.config_name}.yaml"]
    if path in ours or path.stem == script.config_name:
        raise StudyError(str(path), "has the name of your own config, which it needs", mend="Name another with --out.")
    if script.folder is not None and path.parent != script.folder and (script.folder / path.name).exists():
        rule = f"would not be found: Hydra takes {script.folder / path.name}, which has the same name"
        raise StudyError(str(path), rule, mend="Name another with --out.")
    if script.extra is not None and path.parent not in (script.folder, script.extra):
        rule = f"cannot be found by Hydra, which takes one --config-dir, and yours is {script.extra}"
        raise StudyError(str(path), rule, mend=f"Name a file in {script.extra} with --out.")
    if path.exists() and not force:
        raise StudyError(str(path), "is there already", mend="Name another with --out, or replace it with --force.")
    return path


def _proved(job: Composed, script: Script, path: Path, *, whole: bool) -> tuple[Form, bool | None, list[str]]:
    """Returns the first form that the script composes to the job's config; whether it was seen to; and what to say.

    Raises:
        StudyError: None of them is.
    """
    stem = f"neuropt-check-{os.getpid()}"
    refused: list[str] = []

    def all_forms(name: str, single: bool) -> list[Form]:
        return forms(job, script.config_name, name, whole=whole, single=single)

    for place, form in enumerate(all_forms(path.stem, False)):
        if len(form.files) > 1 and refused[-1:] and _ANOTHER in refused[-1]:
            continue  # The same values in two files.
        for single in (False, True):
            with _laid(all_forms(stem, single)[place], path.parent, stem):
                why, mode = _difference(job, script, stem, path.parent)
            if why:
                refused.append(f"Not written as {form.words}: {why}.")
                break
            if mode != "MULTIRUN":
                said = refused[:1] if len(form.files) == 1 else []
                checked = "Checked: your script composes it to the config that the trial had."
                return all_forms(path.stem, single)[place], True, [*said, checked]
    try:
        asked(script, script.config_name, None)
    except StudyError as error:
        return all_forms(path.stem, True)[0], None, [f"Not checked: {error}"]
    raise StudyError("the file", f"is not kept. {' '.join(refused)}", mend="--overrides gives the same as overrides.")


def _difference(job: Composed, script: Script, stem: str, folder: Path) -> tuple[str, str]:
    """Returns how a written config differs from the job's, "" if it does not; and the mode that it asks for."""
    try:
        config, hydra = asked(script, stem, folder)
        now, node = plain_data(config), plain_data(hydra)
    except StudyError as error:
        return one_line(str(error)), ""
    keys = unlike(hidden(job.config, job.secrets), hidden(now, job.secrets))
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    why = f"{_ANOTHER} {', '.join(map(one_line, keys[:_SHOWN]))}{more}" if keys else ""
    return why, str((node.get("hydra") or {}).get("mode"))


@contextmanager
def _laid(form: Form, folder: Path, stem: str) -> Iterator[None]:
    """While entered, a form lies in a folder, under a name that nobody else has."""
    paths = [folder / f"{stem}{suffix}.yaml" for suffix in form.files]
    try:
        for path, text in zip(paths, form.files.values(), strict=True):
            _write(path, text)
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise StudyError(str(path), f"cannot be written ({error.strerror or error})", mend="Use --out.") from None


def _head(scene: Scene, trial: Trial, form: Form, command: str, job: Composed) -> str:
    result = f"{score(trial)}, to {scene.spec.direction}" if trial.values else "no score"
    lines = [
        f"Trial {trial.number} of the study {scene.spec.name}: {result}. Exported {time.strftime('%Y-%m-%d')}.",
        f"Why it was tried: {first_sentence(trial.proposal.rationale)}",
        f"Holds {form.words}.",
        f"Run it once: {command}",
        *([f"Secrets are left out: give {', '.join(job.secrets)}."] if job.secrets else []),
    ]
    return "".join(f"# {_printable(one_line(line))}\n" for line in lines)


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())  # YAML has no word for some of the others, comments included.


def without_score(scene: Scene, trial: Trial | None) -> str:
    """Returns why nothing is exported, in a sentence."""
    if trial is None:
        return f"No trial of {scene.folder} has a score yet."
    return f"Trial {trial.number} has no score (it is {trial.state.value}); --force exports it all the same."


def told(found: Exported, scene: Scene, *, as_json: bool) -> Iterator[tuple[str, bool]]:
    """Yields what is told, and of each line whether it is a word beside what was asked for."""
    trial = found.trial
    lines = [f"Trial {trial.number} of {scene.spec.name}: {score(trial) if trial.values else 'no score'}", *found.lines]
    if as_json:
        yield json.dumps(found.to_json()), False
    elif found.path is None:
        if found.secrets:
            yield one_line(f"Without secrets: put in {', '.join(found.secrets)}."), True
        yield " ".join(map(quoted, found.overrides)), False
    else:
        for line in (*lines, f"Written: {found.path}"):
            yield one_line(line), False
        yield one_line(f"Run it once: {found.command}"), False
