"""A child process that is fed with messages and never waited for."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

Message = Mapping[str, Any]


class Feed:
    """Sends JSON lines to a child and keeps each until the child has acknowledged it.

    A child that dies is started again, once, and is sent again what it had not dealt with. Two threads do the writing
    and the reading, so `send` returns at once even if the child hangs.

    Args:
        spawn: Starts the child; told how often it has died before, 0 or 1.
        hello: The first message to each child, told the same; not acknowledged.
        on_reply: Called, from another thread, with every reply but the acknowledgements.
        on_death: Called, from another thread, with the exit code of a child that died too early, and whether it will be
            started again.
        limit: How many messages may wait; more are refused.
    """

    LIVES = 2

    def __init__(
        self,
        spawn: Callable[[int], subprocess.Popen[str]],
        hello: Callable[[int], Message],
        on_reply: Callable[[Message], None],
        on_death: Callable[[int, bool], None],
        limit: int = 2000,
    ) -> None:
        self._spawn, self._hello, self._limit = spawn, hello, limit
        self._on_reply, self._on_death = on_reply, on_death
        self._changed = threading.Condition()
        self._waiting: deque[Message] = deque()  # not yet acknowledged
        self._sent = 0  # how many of these the present child was sent
        self._greeted = False
        self._deaths = 0
        self._closing = False
        self._child = spawn(0)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]
        for thread in self._threads:
            thread.start()

    def send(self, message: Message, *, spare: bool = False) -> bool:
        """Queues a message; returns False if it was refused, because too many wait or nobody is left to take it.

        Args:
            message: Plain data.
            spare: Whether it can be spared: then a quarter of the limit holds, and the rest is kept for the others.
        """
        with self._changed:
            limit = self._limit // 4 if spare else self._limit
            if self.dead or self._closing or len(self._waiting) >= limit:
                return False
            self._waiting.append(message)
            self._changed.notify_all()
            return True

    def close(self, patience: float) -> bool:
        """Lets the child end, for at most `patience` seconds; returns whether it has dealt with every message."""
        deadline = time.monotonic() + patience
        with self._changed:
            self._changed.wait_for(lambda: self.dead or not self._waiting, timeout=patience)
            drained = not self._waiting
            self._closing = True
            self._changed.notify_all()
            child = self._child
        if drained and child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()  # The end of its input tells it to go.
        else:
            child.kill()  # Also frees the writing thread, if it hangs in the pipe.
        try:
            child.wait(timeout=max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for thread in self._threads:
            thread.join()
        _close_pipes(child)
        return drained

    @property
    def dead(self) -> bool:
        """Whether nobody is left to take a message."""
        return self._deaths >= self.LIVES

    def _write(self) -> None:
        while (next_one := self._next()) is not None:
            child, message = next_one
            # A broken or closed pipe is a dead child: the reading thread sees to it, and the message is sent again.
            with contextlib.suppress(OSError, ValueError):
                _put(child, message)

    def _next(self) -> tuple[subprocess.Popen[str], Message] | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or self.dead or not self._greeted or self._sent < len(self._waiting)
            )
            if self._closing or self.dead:
                return None
            if not self._greeted:
                self._greeted = True
                return self._child, self._hello(self._deaths)
            self._sent += 1
            return self._child, self._waiting[self._sent - 1]

    def _read(self) -> None:
        while True:
            child = self._child
            for line in child.stdout or ():
                if line.endswith("\n"):  # Else the child died in the middle of a word.
                    self._hear(json.loads(line))
            code = child.wait()
            with self._changed:
                if self._closing:
                    return
                self._deaths += 1
                again = not self.dead
                _close_pipes(child)
                self._sent, self._greeted = 0, False
                if again:
                    again = self._revive()
                self._changed.notify_all()
            self._on_death(code, again)
            if not again:
                return

    def _revive(self) -> bool:
        try:
            self._child = self._spawn(self._deaths)
        except OSError:
            self._deaths = self.LIVES
            return False
        return True

    def _hear(self, reply: Message) -> None:
        if reply.get("event") != "done":
            self._on_reply(reply)
            return
        with self._changed:
            self._waiting.popleft()
            self._sent -= 1
            self._changed.notify_all()


def _put(child: subprocess.Popen[str], message: Message) -> None:
    if child.stdin is not None:
        child.stdin.write(line_of(message) + "\n")
        child.stdin.flush()


def line_of(message: Message) -> str:
    """Returns a message as one line of ASCII; lone surrogates, which no child could write as UTF-8, become ``?``."""
    line = json.dumps(message)
    if "\\ud" not in line:
        return line  # No character beyond the first 65,536, and no surrogate, as in nearly all messages.
    text = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace").decode()
    return json.dumps(json.loads(text))


def _close_pipes(child: subprocess.Popen[str]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # What was left in the buffer of a broken pipe.
                pipe.close()
