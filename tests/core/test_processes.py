"""Which process is which."""

from __future__ import annotations

import subprocess

from neuropt_core.processes import born


def test_a_dead_process_was_not_born() -> None:
    """A process is known by when it began until it ends, also while nobody has asked for its exit code."""
    with subprocess.Popen(["sleep", "60"]) as running:
        began = born(running.pid)
        assert began is not None
        assert born(running.pid) == began
        running.kill()
        while born(running.pid) is not None:
            pass
    assert born(running.pid) is None
