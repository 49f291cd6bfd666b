"""What the children that keep an account of the study have in common: their start and their lines."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

Reply = Callable[[Mapping[str, Any]], None]


class Clerk(Protocol):
    """Does in the child what the messages say."""

    def take(self, message: Mapping[str, Any]) -> None:
        """Does what one message says."""
        ...

    def close(self) -> None:
        """Nothing more will be said."""
        ...


def start_worker(module: str, log: Path, folder: Path, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts a child of `Feed`.

    Args:
        module: Its module's name, in this package.
        log: What it writes to stderr is appended here.
        folder: Its working directory.
        environ: Its environment.
    """
    env, root = dict(environ), Path(__file__).resolve().parents[2]
    if root.name not in ("site-packages", "dist-packages"):
        # Run from a checkout, which the child would not find from another working directory.
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (environ.get("PYTHONPATH"), str(root))))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", f"neuropt_core.sinks.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            encoding="utf-8",
            env=env,
            cwd=folder,
            start_new_session=True,  # A Ctrl-C in the terminal must not reach it before it has written all.
        )


def serve(make: Callable[[Mapping[str, Any], Reply], Clerk]) -> None:
    """Serves one study in the child: the lines of stdin, until its end; each is acknowledged on stdout.

    Args:
        make: Makes the clerk of the first line and of what replies to the sweeper, from any thread or signal's handler.
    """
    # Libraries may write to stdout, which is ours to reply on.
    replies = os.dup(1)
    os.dup2(2, 1)

    def reply(data: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # The sweeper has died; what it said is still to be written.
            os.write(replies, json.dumps(data).encode() + b"\n")  # At once and whole: several may do so.

    lines = iter(sys.stdin)
    if (first := next(lines, None)) is None:
        return
    clerk = make(json.loads(first), reply)
    for line in lines:
        message = json.loads(line)
        try:
            clerk.take(message)
        except Exception as error:  # noqa: BLE001 - libraries raise many kinds; the next message may fare better.
            doing = f"{message['op']}: " if "op" in message else ""
            reply({"event": "trouble", "reason": f"{doing}{type(error).__name__}: {error}"})
        reply({"event": "done"})
    clerk.close()
