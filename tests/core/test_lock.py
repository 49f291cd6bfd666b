"""Who holds a lock file."""

from __future__ import annotations

import os
from pathlib import Path

from neuropt_core.lock import Lock, holder


def test_the_holder_of_a_lock_is_told_by_name(tmp_path: Path) -> None:
    """Whoever asks learns process and machine while the lock is held, and nobody's before and after."""
    path = tmp_path / "a.lock"
    assert holder(path) is None
    lock = Lock(path, "a")
    held = holder(path)
    assert held is not None
    assert (held["pid"], held["host"]) == (os.getpid(), os.uname().nodename)
    lock.close()
    assert holder(path) is None
    Lock(path, "a").close()
