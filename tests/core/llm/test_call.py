"""The deadline and the attempts."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from neuropt_core.errors import LLMTransient
from neuropt_core.llm._call import within
from neuropt_core.llm.client import NoWholeReply


def test_a_stuck_loop_does_not_hold_the_caller() -> None:
    """Even work that blocks the event loop itself (a name server that is silent) is left behind."""
    over = threading.Event()

    async def stuck() -> None:
        over.wait(60)

    start = time.monotonic()
    with pytest.raises(LLMTransient, match=r"no whole answer within 0\.1 seconds"):
        within(0.1, "somebody", stuck)
    assert time.monotonic() - start < 30
    over.set()


def test_other_errors_come_through() -> None:
    """An error of our own is not hidden as a failure of the network."""

    async def broken() -> None:
        await asyncio.sleep(0)
        raise KeyError("mistake")

    with pytest.raises(KeyError, match="mistake"):
        within(1.0, "somebody", broken)


def test_an_interrupt_ends_the_wait() -> None:
    """A call is left at once when somebody asks to stop, and is not begun if he has asked before."""
    begun, over = threading.Event(), threading.Event()

    async def slow() -> None:
        begun.set()
        while not over.is_set():
            await asyncio.sleep(0.05)

    start = time.monotonic()
    with pytest.raises(NoWholeReply, match="interrupt was requested"):
        within(60.0, "somebody", slow, begun.is_set)
    assert time.monotonic() - start < 30
    over.set()
    begun.clear()
    with pytest.raises(LLMTransient, match="was not asked"):
        within(5.0, "somebody", slow, lambda: True)
    assert not begun.is_set()
