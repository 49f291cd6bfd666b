"""The last row of a terminal, kept out of the scrolling."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
import textwrap
import time

from terminal import Screen, terminal

from neuropt_core.sinks._last_row import LastRow


def test_the_row_is_drawn_now_and_then() -> None:
    """Without being asked to, the row is drawn again after each period."""
    widths: list[int] = []

    def render(width: int) -> str:
        widths.append(width)
        return f"drawing {len(widths)}"

    with terminal(40, 6) as (stream, output):
        row = LastRow(stream.fileno(), render, period=0.01)
        end = time.monotonic() + 10
        while len(widths) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        row.close()
    assert widths[:3] == [40, 40, 40]
    assert "drawing 1" in output[0]
    assert "drawing 3" in output[0]


def test_the_row_moves_with_the_size_of_the_terminal() -> None:
    """When the window grows or shrinks, the row is drawn at its new bottom and the rest scrolls above."""
    with terminal(40, 8) as (stream, output):
        row = LastRow(stream.fileno(), lambda width: f"bar of {width}", period=60)
        fcntl.ioctl(stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 12, 50, 0, 0))
        row.draw()
        stream.write("\n".join(f"line {n}" for n in range(20)))
        row._stop.set()  # It ends without a last word, which the screen below would show.
    screen = Screen(50, 12).feed(output[0])
    assert (screen.top, screen.bottom) == (0, 10)
    assert screen.rows[-1] == "bar of 50"
    assert screen.rows[-2] == "line 19"


def test_closing_gives_the_row_back_once() -> None:
    """After closing, everything scrolls again and nothing is drawn any more."""
    with terminal(40, 8) as (stream, output):
        row = LastRow(stream.fileno(), lambda width: "bar", period=0.01)
        row.close()
        row.close()
        row.draw()
        time.sleep(0.05)
    assert output[0].endswith("\x1b[r\x1b[8;1H\x1b[2K\x1b8")
    screen = Screen(40, 8).feed(output[0])
    assert (screen.top, screen.bottom, "".join(screen.rows)) == (0, 7, "")


def test_a_terminal_that_goes_away_ends_the_drawing() -> None:
    """When the terminal is closed behind its back, drawing and closing do nothing more."""
    with terminal(40, 8) as (stream, _):
        descriptor = os.dup(stream.fileno())
        row = LastRow(descriptor, lambda width: "bar", period=0.01)
        os.close(descriptor)
        time.sleep(0.1)
    row.close()


ENDS = """
    import os, sys
    from neuropt_core.sinks._last_row import LastRow
    row = LastRow(1, lambda width: "bar")
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    os.write(1, b"parent\\n")
    raise SystemExit(3)
"""


def test_the_end_of_the_process_gives_the_row_back() -> None:
    """A process that just ends leaves an ordinary terminal; one that it forked leaves the row alone."""
    with terminal(40, 8) as (stream, output):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(ENDS)], stdout=stream, check=False, timeout=120)
    assert done.returncode == 3
    assert output[0].count("\x1b[r") == 1
    assert output[0].index("parent") < output[0].index("\x1b[r")
