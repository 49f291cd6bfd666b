"""Who holds a study, and what becomes of it where files cannot be locked."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from neuropt_core.errors import StudyError
from neuropt_core.lock import Lock, holder


def test_whoever_is_refused_learns_who_holds_it(tmp_path: Path) -> None:
    """The text names process, machine and time; once it is given back it can be taken again."""
    first = Lock(tmp_path / "x.lock", of="the journal")
    with pytest.raises(StudyError) as caught:
        Lock(tmp_path / "x.lock", of="the journal")
    assert f"the journal: is in use by another sweeper (process {os.getpid()} on {os.uname().nodename}, since 2" in str(
        caught.value
    )
    first.close()
    Lock(tmp_path / "x.lock", of="the journal").close()


def test_who_only_asks_for_the_holder_refuses_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that looks at a sweep has its lock for a moment, for which a sweeper that begins then waits."""
    monkeypatch.setattr("neuropt_core.lock._PATIENCE", 60.0)
    path = tmp_path / "x.lock"
    path.touch()
    asking = os.open(path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.2, os.close, [asking]).start()
    Lock(path, of="x").close()


def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A forked job of a sweeper that was killed must not shut out the next sweeper."""
    code = f"""
import os, pathlib, signal, time
from neuropt_core.lock import Lock, holder
lock = Lock(pathlib.Path({str(tmp_path / "x.lock")!r}), of="x")
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        try:
            Lock(tmp_path / "x.lock", of="x").close()
        finally:
            os.kill(child, signal.SIGKILL)


def _unable(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_where_files_cannot_be_locked_the_signature_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A live holder and one on another machine keep it, a dead one has lost it; no such file system exists here."""
    monkeypatch.setattr(fcntl, "flock", _unable)
    path = tmp_path / "x.lock"
    first = Lock(path, of="the journal")
    assert "cannot lock files (No locks available)" in caplog.text
    with pytest.raises(StudyError, match=r"may be in use by another sweeper \(process .*delete .*x.lock"):
        Lock(path, of="the journal")
    mine = json.loads(path.read_text())
    first.close()
    assert path.read_text() == ""
    path.write_text(json.dumps({**mine, "host": "far-away"}))
    with pytest.raises(StudyError, match="on far-away"):
        Lock(path, of="the journal")
    path.write_text(json.dumps({**mine, "born": "1"}))  # Its number belongs to another process by now.
    Lock(path, of="the journal").close()
    path.write_text("half a li")
    Lock(path, of="the journal").close()


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
