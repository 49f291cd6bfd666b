"""What the shell offers for an argument: folders of sweeps, and trials that run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import typer

from neuropt_core.cli.stop import running_in
from neuropt_core.errors import NeuroptError
from neuropt_core.journal import PLACE

_DEPTH, _LOOKED_AT, _OFFERED = 4, 2_000, 50
"""Folders below the one that is being typed; folders that are looked at, so that a shell never waits; and offered."""


def sweep_folders(incomplete: str) -> list[str]:
    """Returns the sweeps' folders that begin as what is typed does, the newest first.

    Args:
        incomplete: The beginning of a path; ``multirun/2026`` finds ``multirun/2026-11-23/06-40-29``.
    """
    above, _, begun = incomplete.rpartition("/")
    start = f"{above}/" if "/" in incomplete else ""
    found = []
    for path in islice(_folders(start, begun, _DEPTH), _LOOKED_AT):
        try:
            found.append((os.stat(os.path.join(path or ".", PLACE)).st_mtime, path or "."))
        except OSError:
            continue
    return [path for _, path in sorted(found, reverse=True)[:_OFFERED]]


def running_trials(ctx: typer.Context) -> list[str]:
    """Returns the numbers of the trials that run in the folder that stands on the command line."""
    # With an option that still lacks its value, the parser leaves the words in front of it unread.
    folder = ctx.params.get("folder") or next(iter(ctx.args), None)
    try:
        return [] if folder is None else [str(number) for number in running_in(Path(folder))]
    except NeuroptError:
        return []


def _folders(start: str, begun: str, depth: int) -> Iterator[str]:
    try:
        names = sorted(
            (e.name for e in os.scandir(start or ".") if e.is_dir() and e.name.startswith(begun)), reverse=True
        )
    except OSError:
        return
    for name in names:
        if name.startswith(".") and not begun.startswith("."):
            continue
        yield start + name
        if depth > 1 and name != "neuropt":
            yield from _folders(f"{start}{name}/", "", depth - 1)
