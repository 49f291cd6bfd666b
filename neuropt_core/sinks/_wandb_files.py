"""What the process that owns the W&B runs reads and writes beside them: transcripts, the sweep's id, runs of others."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from neuropt_core.files import read_lines, write_whole
from neuropt_core.redact import redact_data
from neuropt_core.tracking import sweep_path

T = TypeVar("T")
_SOON = 60.0
_HEADER = 7  # Bytes of a `.wandb` file before its first record.
_FULL = ("number", "purpose", "kind", "model", "asked", "seconds", "usage", "accepted", "complaints", "prompt", "reply")


def absent_in(file: str, names: Iterable[str]) -> set[str]:
    """Returns the names that occur nowhere in a run's local `.wandb` file; none of them if it cannot be read.

    Keys of config, history and summary are strings behind a byte with their length. That is looked for, instead of
    parsing the file: a name that stands there as something else counts as taken, which does no harm.
    """
    try:
        data = Path(file).read_bytes()
    except OSError:
        return set()
    return {name for name in names if bytes([min(127, len(name.encode()))]) + name.encode() not in data}


def transcript_lines(plan: Mapping[str, Any], secrets: tuple[str, ...]) -> list[str]:
    """Returns the lines of the transcript's file: those of the plan, or, redacted, those of its file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged.
    """
    if "entries" in plan:
        return [_line(entry) for entry in plan["entries"]]
    entries, _ = read_lines(Path(plan["path"]))
    return [_line(redact_data({k: entry[k] for k in _FULL if k in entry}, secrets)) for entry in entries]


def known_sweep(folder: Path, project: str, entity: str | None) -> dict[str, Any] | None:
    """Returns the W&B sweep that this study has had in a project: ``id``, ``project`` and ``entity``; None without."""
    try:
        data: dict[str, Any] = json.loads(sweep_path(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if data.get("project") == project and entity in (None, data.get("entity")) else None


def keep_sweep(folder: Path, sweep: Mapping[str, Any]) -> None:
    """Writes which W&B sweep the study has, for its jobs and for the next session.

    Raises:
        OSError: The disk is full or the folder is not writable.
    """
    write_whole(sweep_path(folder), json.dumps(dict(sweep)))


def forget_sweep(folder: Path) -> None:
    """Takes the sweep away: no run is to be attached to it."""
    sweep_path(folder).unlink(missing_ok=True)


def pass_over_empty(folders: Iterable[str], age: float = 60.0) -> None:
    """Marks runs without a single record as uploaded: for one of these, `wandb sync` uploads nothing of its folder.

    Args:
        folders: Where runs lie.
        age: Seconds since the file was last written; a younger one may be about to get its first record.

    Raises:
        OSError: A folder is not writable.
    """
    for folder in folders:
        for file in Path(folder).glob("*run-*/*.wandb"):
            if file.stat().st_size <= _HEADER and time.time() - file.stat().st_mtime >= age:
                file.with_name(f"{file.name}.synced").touch()


def is_old_stop(folder: Path, seconds: float) -> bool:
    """Tells whether a stop of the study's run is the one that an earlier session has obeyed; remembers a new one.

    It is not known whether W&B takes the mark off a run that is gone on with. If it does not, nobody could go on.

    Args:
        folder: The study's.
        seconds: Since this session began; an old mark is heard within its first minute.

    Raises:
        OSError: The disk is full or the folder is not writable.
    """
    mark = folder / "wandb" / "stopped"
    old = seconds < _SOON and mark.exists()
    if old:
        mark.unlink()
    else:
        mark.touch()
    return old


def refusal_of(log: str) -> str:
    """Returns why W&B took no data of an ended run, from the log of wandb's own process; "" where it did, or unknown.

    When W&B refuses a run's data for good (403, 409 ...), wandb says so there alone: the run looks like any other.
    """
    try:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r'filestream: fatal error: (?!.{0,300}context canceled)([^"\n]{1,200})', text)
    return found[1] if found else ""


def service_is_lost(error: Exception) -> bool:
    """Tells whether wandb's own service process has died; what W&B's server does raises other kinds."""
    # The first two are private to wandb.
    private = ("MailboxClosedError", "HandleAbandonedError")
    return type(error).__name__ in private or isinstance(error, ConnectionError)


def within(seconds: float, work: Callable[[], T], name: str | None = None) -> T:
    """Returns what `work` returns, done in a thread of its own.

    Args:
        seconds: How long to wait for it.
        work: What to do.
        name: The thread's, by which those that were left to themselves are found.

    Raises:
        TimeoutError: It has not ended in time; it is left to itself.
        Exception: Whatever it raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again, in the thread that waits.
            errors.append(error)

    thread = threading.Thread(target=do, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer after {seconds:g} s")
    return results[0]


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
