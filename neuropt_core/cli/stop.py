"""`neuropt stop`: what it may ask of a sweep, and what it tells whoever asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neuropt_core.errors import StudyError
from neuropt_core.journal import read_study
from neuropt_core.lock import holder
from neuropt_core.stop_file import StopRequest, ask


def stop_line(sweep_dir: Path, *, now: bool, trial: int | None, reason: str) -> tuple[str, bool]:
    """Leaves the request; returns a sentence for people, and whether there is anybody who will obey.

    Args:
        sweep_dir: ``hydra.sweep.dir`` of the sweep.
        now: Whether trials that run are to stop, too.
        trial: The only trial that is to stop; None for the sweep.
        reason: Why, in words; may be empty.

    Raises:
        StudyError: The folder holds no study, or its journal cannot be read.
    """
    records = read_study(sweep_dir)
    running = _running(records)
    live = holder(sweep_dir / "neuropt" / "journal.lock")
    if live is None:
        more = f" Trials {_few(running)} have no outcome yet; the sweep's command goes on with them." if running else ""
        return f"No sweep works in {sweep_dir}.{more}", False
    who = f"process {live.get('pid')} on {live.get('host')}" if live else "a process that is still starting"
    if trial is not None and trial not in running:
        state = "has ended" if any(r["op"] == "tell" and r["number"] == trial for r in records) else "does not run"
        return f"Trial {trial} {state}; running: {_few(running)}.", False
    try:
        ask(sweep_dir, StopRequest("now" if now else "finish", reason), trial)
    except OSError as error:
        raise StudyError(str(sweep_dir), f"cannot be written to ({error.strerror})") from None
    if trial is not None:
        return f"Trial {trial} is to stop at its next report ({who}).", True
    if now:
        return f"The sweep ({who}) is to stop; trials {_few(running)} are asked to stop, and then ended.", True
    return f"The sweep ({who}) begins no more trials, and waits for {_few(running)}.", True


def running_in(sweep_dir: Path) -> list[int]:
    """Returns the numbers of the trials that run.

    Raises:
        StudyError: The folder holds no study, or its journal cannot be read.
    """
    return _running(read_study(sweep_dir))


def _running(records: list[dict[str, Any]]) -> list[int]:
    """Returns the numbers of the trials that were launched and not told, in order."""
    launched = {record["number"] for record in records if record["op"] == "launch"}
    return sorted(launched - {record["number"] for record in records if record["op"] == "tell"})


def _few(numbers: list[int]) -> str:
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return ", ".join(map(str, numbers[:8])) + more if numbers else "none"
