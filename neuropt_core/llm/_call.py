"""One call: a real deadline around it, and our own retries within it.

The SDKs' ``timeout`` is per read of the socket, so a server that dribbles bytes holds a call for ever, and one of
them obeys any ``retry-after``, a day included. So one attempt of the SDK is one request here, and the rest is ours.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from neuropt_core.errors import LLMTransient
from neuropt_core.llm._faults import Fault
from neuropt_core.llm.client import NoWholeReply, never

T = TypeVar("T")

TRIES = 3
"""Attempts of one call."""

MAX_WAIT = 30.0
"""The longest wait in seconds between two attempts; a server that asks for more is not waited for."""

_FIRST_WAIT = 0.5
_GRACE = 1.0
_LOOK = 0.1
"""Seconds between two looks whether an interrupt was requested."""


def within(seconds: float, who: str, work: Callable[[], Coroutine[Any, Any, T]], stop: Callable[[], bool] = never) -> T:
    """Returns what `work` returns, run in an event loop of its own, or gives up after `seconds`, or on `stop`.

    It runs in a thread, so it works where a loop is running already (a notebook), and the deadline holds even if the
    loop itself is stuck, e.g. while it waits for a name server's answer.

    Raises:
        NoWholeReply: The time is over, or `stop` was true meanwhile.
        LLMTransient: `stop` was true from the first, so nothing was sent.
    """
    if stop():
        raise LLMTransient(who, "was not asked, since an interrupt was requested")
    outcome: Future[T] = Future()

    async def bounded() -> T:
        return await asyncio.wait_for(work(), seconds)

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(bounded()))
        except BaseException as error:  # noqa: BLE001 - it is handed to the waiting thread, whatever it is
            outcome.set_exception(error)

    threading.Thread(target=run, name="neuropt-llm", daemon=True).start()
    end = time.monotonic() + seconds + _GRACE
    while not outcome.done():
        if stop():
            # The thread is a daemon: it ends with the process, or by the deadline in its loop.
            raise NoWholeReply(who, "was not waited for, since an interrupt was requested")
        if (left := end - time.monotonic()) <= 0:
            break
        wait([outcome], timeout=min(left, _LOOK))
    try:
        return outcome.result(0)
    except (asyncio.TimeoutError, FutureTimeoutError):
        pass  # raised below, where no exception with a request in it is its context
    raise NoWholeReply(
        who,
        f"gave no whole answer within {seconds:g} seconds",
        mend="A larger hydra.sweeper.llm.deadline waits longer.",
    )


async def persist(attempt: Callable[[], Awaitable[T | Fault]], deadline: float) -> T:
    """Returns the first success of at most `TRIES` attempts; only transient faults are tried again.

    Args:
        attempt: Makes one request.
        deadline: When the call will be given up, in seconds of the running loop's clock.

    Raises:
        LLMError: The last attempt failed, or the server asks for a longer wait than there is time.
    """
    for tried in range(1, TRIES + 1):
        outcome = await attempt()
        if not isinstance(outcome, Fault):
            return outcome
        if not isinstance(outcome.error, LLMTransient) or tried == TRIES:
            raise outcome.error
        pause = _wait(tried, outcome.retry_after)
        if pause > MAX_WAIT or asyncio.get_running_loop().time() + pause >= deadline:
            error, asked = outcome.error, outcome.retry_after is not None
            why = f"and asks for a wait of {pause:.3g} seconds" if asked else "and there is no time for another attempt"
            raise LLMTransient(error.where, f"{error.rule}, {why}")
        await asyncio.sleep(pause)
    raise LLMTransient("retries", "are used up")  # not reached: the last round returns or raises


def _wait(tried: int, asked: float | None) -> float:
    if asked is not None:
        return asked
    # The jitter keeps the workers of a cluster from coming back all at once.
    return _FIRST_WAIT * 2.0 ** (tried - 1) * random.uniform(0.75, 1.0)
