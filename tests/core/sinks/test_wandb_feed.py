"""The pipe to a child process that may hang, die or lie."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from neuropt_core.sinks._wandb_feed import Feed, line_of

ECHO = """
import json, sys
print(json.dumps({"event": "hello", **json.loads(sys.stdin.readline())}), flush=True)
for line in sys.stdin:
    print(json.dumps({"event": "got", **json.loads(line)}), flush=True)
    print(json.dumps({"event": "done"}), flush=True)
"""
HANG = "import time; time.sleep(60)"
DIE_AT_2 = """
import json, sys
sys.stdin.readline()
for line in sys.stdin:
    if json.loads(line)["n"] == 2: sys.exit(3)
    print(json.dumps({"event": "done"}), flush=True)
"""
TORN = """import sys; sys.stdout.write('{"event": "go'); sys.stdout.flush(); sys.exit(4)"""


class Watcher:
    """Starts children from code and keeps what they say."""

    def __init__(self, *codes: str) -> None:
        self.codes = codes
        self.filler = ""
        self.replies: list[Any] = []
        self.deaths: list[tuple[int, bool]] = []
        self.children: list[subprocess.Popen[str]] = []

    def spawn(self, deaths: int) -> subprocess.Popen[str]:
        """Starts the next code."""
        command = [sys.executable, "-S", "-c", self.codes[deaths]]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        return child

    def hello(self, deaths: int) -> dict[str, Any]:
        """Returns the first message to a child."""
        return {"n": -1 - deaths, "hello": self.filler}

    def numbers(self) -> list[int]:
        """Returns the numbers that came back, the greetings below zero."""
        return [reply["n"] for reply in self.replies]

    def died(self, code: int, again: bool) -> None:
        """Keeps a death."""
        self.deaths.append((code, again))

    def feed(self, limit: int = 2000) -> Feed:
        """Opens the feed."""
        return Feed(self.spawn, self.hello, self.replies.append, self.died, limit)


def wait_until(true: Callable[[], bool]) -> None:
    """Waits for something that another thread does, at most a minute."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_messages_arrive_in_order() -> None:
    """All messages arrive in the order in which they were sent, and the child ends by itself."""
    watcher = Watcher(ECHO)
    feed = watcher.feed()
    assert all(feed.send({"n": n, "text": "é\u2028\n"}) for n in range(500))
    assert feed.close(60)
    assert watcher.numbers() == [-1, *range(500)]
    assert watcher.replies[1]["text"] == "é\u2028\n"
    assert watcher.children[0].returncode == 0
    assert watcher.deaths == []


def test_sending_never_waits_for_a_child_that_hangs() -> None:
    """Far more than a pipe holds is accepted in no time, and closing gives up after its patience, child and all."""
    watcher = Watcher(HANG)
    watcher.filler = "x" * 1_000_000
    began = time.monotonic()
    feed = watcher.feed()
    assert all(feed.send({"text": "x" * 10_000}) for _ in range(200))
    assert time.monotonic() - began < 20
    assert not feed.close(0.3)
    assert time.monotonic() - began < 40  # The child sleeps for a minute.
    assert watcher.children[0].returncode is not None


def test_what_waits_is_bounded() -> None:
    """Beyond the limit a message is refused, and the sender knows."""
    watcher = Watcher(HANG)
    feed = watcher.feed(limit=3)
    assert [feed.send({"n": n}) for n in range(5)] == [True, True, True, False, False]
    feed.close(0)


def test_what_can_be_spared_leaves_room_for_the_rest() -> None:
    """Messages that can be spared are refused at a quarter of the limit; others still find room."""
    watcher = Watcher(HANG)
    feed = watcher.feed(limit=8)
    assert [feed.send({"n": n}, spare=True) for n in range(4)] == [True, True, False, False]
    assert all(feed.send({"n": n}) for n in range(6))
    feed.close(0)


def test_lone_surrogates_become_question_marks() -> None:
    """What cannot be written as UTF-8 goes, in keys and values alike; emoji and other characters stay."""
    assert json.loads(line_of({"a\ud800": ["\udfff", "é 😀 \\ud800"]})) == {"a?": ["?", "é 😀 \\ud800"]}
    assert line_of({"a": "😀\ud800"}).isascii()


def test_a_dead_child_is_replaced_and_told_what_it_missed() -> None:
    """A second child gets every message that the first had not acknowledged, the fatal one included."""
    watcher = Watcher(DIE_AT_2, ECHO)
    feed = watcher.feed()
    for n in range(5):
        feed.send({"n": n})
    assert feed.close(60)
    assert watcher.deaths == [(3, True)]
    assert watcher.numbers() == [-2, 2, 3, 4]


def test_a_child_that_died_idle_is_replaced() -> None:
    """A child that is killed while it waits is replaced too, and later messages arrive."""
    watcher = Watcher(ECHO, ECHO)
    feed = watcher.feed()
    feed.send({"n": 0})
    wait_until(lambda: len(watcher.replies) == 2 and not feed._waiting)  # Acknowledged, too: else it is sent again.
    watcher.children[0].kill()
    wait_until(lambda: len(watcher.children) == 2)
    feed.send({"n": 1})
    assert feed.close(60)
    assert watcher.numbers() == [-1, 0, -2, 1]


@pytest.mark.parametrize("code", [DIE_AT_2, TORN])
def test_after_two_deaths_nobody_is_left(code: str) -> None:
    """A message that kills both children, or two that die at once, end the feed; it refuses more and closes at once."""
    watcher = Watcher(code, code)
    feed = watcher.feed()
    feed.send({"n": 2})
    wait_until(lambda: len(watcher.deaths) == 2)
    assert [again for _, again in watcher.deaths] == [True, False]
    assert feed.dead
    assert not feed.send({"n": 3})
    began = time.monotonic()
    assert not feed.close(60)
    assert time.monotonic() - began < 30


def test_a_child_that_cannot_be_started_again() -> None:
    """If the second start fails, the feed is dead and says so once."""
    watcher = Watcher("import sys; sys.exit(5)")

    def spawn(deaths: int) -> subprocess.Popen[str]:
        if deaths:
            raise OSError("no more processes")
        return watcher.spawn(0)

    feed = Feed(spawn, watcher.hello, watcher.replies.append, watcher.died)
    wait_until(lambda: len(watcher.deaths) == 1)
    assert watcher.deaths == [(5, False)]
    assert feed.dead
    assert not feed.send({})
    feed.close(1)
