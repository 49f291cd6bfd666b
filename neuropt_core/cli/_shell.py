"""How every command meets the shell: exit codes, refusals in one sentence, pages and JSON on stdout."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from neuropt_core.errors import NeuroptError
from neuropt_core.sinks.tables import Item, page
from neuropt_core.sinks.text import one_line, writable

WORKS, FAILS, WRONG, BROKEN, INTERRUPTED, GONE = 0, 1, 2, 70, 130, 141
CODES = (
    "0 yes: it works, or is done. 1 no: the command ran, and what was asked about does not hold (each command says "
    "what). 2 the command, a setting or a folder is wrong; one sentence on stderr says what. 70 a fault of neuropt's "
    "own, with a traceback. 130 Ctrl-C. 141 the reader of a pipe went away."
)
"""Exit codes, for scripts; a sweep has its own (docs/running.md)."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What is no fault of ours where something is written."""


@contextmanager
def refusing(no: type[NeuroptError] | tuple[()] = ()) -> Iterator[None]:
    """While entered, what is wrong with a command ends it with one sentence on stderr, and with `WRONG`.

    Args:
        no: The error that is an answer, and ends the command with `FAILS` instead.
    """
    try:
        yield
    except NeuroptError as error:
        typer.echo(one_line(str(error)), err=True)
        raise typer.Exit(FAILS if isinstance(error, no) else WRONG) from None


def show(what: Sequence[Item] | Mapping[str, Any]) -> None:
    """Writes a page for people, or data as JSON, to stdout."""
    if isinstance(what, Mapping):
        text = json.dumps(what, indent=2, ensure_ascii=False) + "\n"
    else:
        text = page(what, sys.stdout)
    sys.stdout.write(writable(text, sys.stdout))
    sys.stdout.flush()


def takes_blocks() -> bool:
    """Tells whether stdout can show block characters."""
    try:
        "\u2581\u2588".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def code_of(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; see `CODES`.

    A reader that goes away, as ``head`` does, is no fault: the command ends silently, with 141, as a shell shows it
    for a process that SIGPIPE ended.
    """
    if sys.stdout is None or sys.stderr is None:  # Closed, as by >&-: what is said then goes nowhere.
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    try:
        app(arguments)
    except SystemExit as end:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # So typer marks a broken pipe; its code would be a no.
            return GONE
        return end.code if isinstance(end.code, int) else WORKS if end.code is None else FAILS
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in _FULL:
            traceback.print_exc()
            return BROKEN
        sys.stderr.write(f"{error.filename or 'stdout'}: cannot be written ({error.strerror})\n")
        return WRONG
    except Exception:  # noqa: BLE001 - whatever it is, a script must be able to tell it from a no
        traceback.print_exc()
        return BROKEN
    return WORKS
