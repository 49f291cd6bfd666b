"""Ctrl-C and the signals that shut a machine down, in a process of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sweeps import environment

CODE = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from hydra_plugins.neuropt_sweeper._interrupt import Interrupt
{before}
interrupt = Interrupt(lambda text: print("said", text[:9], flush=True))
with interrupt:
    try:
        for number in {signals}:
            os.kill(os.getpid(), number)
            time.sleep(0.3)
        print("went on")
    except KeyboardInterrupt:
        print("interrupted")
print(interrupt.requested, interrupt.shutdown or "-", interrupt.code)
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@pytest.mark.parametrize(
    ("signals", "before", "said"),
    [
        ("[signal.SIGINT]", "", "said Finishing went on True - 130"),
        ("[signal.SIGINT] * 2", "", "said Finishing interrupted True - 130"),
        ("[signal.SIGTERM]", "", "interrupted True SIGTERM 143"),
        ("[signal.SIGHUP]", "signal.signal(signal.SIGHUP, signal.SIG_DFL)", "interrupted True SIGHUP 129"),
        ("[signal.SIGINT, signal.SIGTERM]", "", "said Finishing interrupted True SIGTERM 143"),
        ("[signal.SIGHUP]", "signal.signal(signal.SIGHUP, signal.SIG_IGN)", "went on False - 0"),
    ],
)
def test_what_signals_do(signals: str, before: str, said: str) -> None:
    """The first Ctrl-C is noted, the second and the others interrupt, nohup holds, and handlers are put back."""
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(signals=signals, before=before)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == [*said.split(), "True", "True"]
