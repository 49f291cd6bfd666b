"""What travels to a trial's process, and how such a process is held."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweeps import environment

from hydra_plugins.neuropt_sweeper._isolation import refuse_within_a_trial
from hydra_plugins.neuropt_sweeper._output import Follower
from hydra_plugins.neuropt_sweeper._victims import Victims
from neuropt_core.errors import ConfigError

SCRIPT = """
import functools, hydra, sys
from hydra.core.singleton import Singleton
from hydra._internal.core_plugins.basic_launcher import BasicLauncher

def decorated(function):
    @functools.wraps(function)
    def outer(*args):
        return function(*args)
    return outer

def main(cfg):
    return 0.0

inner, main = main, decorated(decorated(main))
{above}
if __name__ == "__main__":
    from hydra_plugins.neuropt_sweeper import _isolation
    launcher = BasicLauncher()
    launcher.task_function = {task}
    print(_isolation.why_not(launcher))
    print(_isolation._reference(launcher.task_function))
"""


def _asked(path: Path, above: str = "", task: str = "inner", as_text: bool = False) -> list[str]:
    """Returns what `why_not` and the reference say in a script that has this line above its guard."""
    text = SCRIPT.format(above=above, task=task)
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *(["-c", text] if as_text else [str(path)])],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_decorated_task_travels_by_reference(tmp_path: Path) -> None:
    """Hydra hands over the function below its decorator, which is found by its name and its depth."""
    assert _asked(tmp_path / "a.py") == ["", "TaskReference(module='__main__', path='main', depth=2)"]


@pytest.mark.parametrize(
    ("above", "flagged"),
    [
        ("if len(sys.argv) > 5:\n    main(1)", True),
        ("try:\n    pass\nfinally:\n    sys.exit(main(1)) if len(sys.argv) > 5 else None", True),
        ("run = print\nrun(main)", True),
        ("def start():\n    main(1)", False),
        ("later = lambda: main(1)", False),
        ("again = functools.cache(main)", False),
        ("if __name__ == '__main__' and len(sys.argv) > 5:\n    main(1)", False),
    ],
)
def test_a_script_that_runs_when_it_is_imported_is_known(tmp_path: Path, above: str, flagged: bool) -> None:
    """A call of the task function above the guard would start a sweep in each trial: it is named with its line."""
    said = [line for line in _asked(tmp_path / "a.py", above) if "runs the task function when" in line]
    assert bool(said) == flagged
    assert all(line.startswith("line ") for line in said)


def test_a_session_without_a_script_is_known(tmp_path: Path) -> None:
    """What was typed into an interpreter cannot be imported elsewhere, and that is the reason given."""
    assert "cannot import" in _asked(tmp_path / "a.py", as_text=True)[0]


def test_what_cannot_travel_is_known(tmp_path: Path) -> None:
    """A task that no pickle takes keeps the trials in the sweeper's process, with the error as the reason."""
    (said, _) = _asked(tmp_path / "a.py", "import threading, types", "types.SimpleNamespace(lock=threading.Lock())")
    assert "cannot travel to another process (TypeError: cannot pickle" in said


def test_a_sweep_within_a_trials_import_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever starts a sweep while a trial's process imports the script ends with a sentence."""
    refuse_within_a_trial()
    monkeypatch.setenv("NEUROPT_IMPORTING", "1")
    with pytest.raises(ConfigError, match=r"isolate=false"):
        refuse_within_a_trial()


def test_output_is_shown_as_it_was_written(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes pass as they are, a bar's carriage returns too, and a line left open is ended."""
    path = tmp_path / "output.log"
    follower = Follower(path)
    follower.show()
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    path.write_bytes(b" 10%\r 20%\r\xff")
    follower.show()
    with path.open("ab") as file:
        file.write(b" 30%")
    follower.close()
    assert capfdbinary.readouterr().out == b" 10%\r 20%\r\xff 30%\n"


def test_nobody_was_killed_for_memory_meanwhile() -> None:
    """The kernel's counter can be read here, and does not grow by itself."""
    assert not Victims.now().grew()
    assert Victims(-1).grew()


def test_the_fork_server_does_not_feel_ctrl_c() -> None:
    """Started while SIGINT is blocked, the server has it blocked too, so that it survives the terminal's Ctrl-C."""
    words = (
        "import signal, pathlib; from hydra_plugins.neuropt_sweeper._forks import Forks;"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}); forks = Forks();"
        "status = pathlib.Path(f'/proc/{forks._server._forkserver_pid}/status').read_text(); forks.close();"
        "print(int(status.split('SigBlk:')[1].split()[0], 16) >> signal.SIGINT - 1 & 1)"
    )
    done = subprocess.run([sys.executable, "-c", words], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "1\n", done.stderr


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    """What a full pipe does not take is left out, and the next trial's output begins with how much that was."""
    path, more, rest = tmp_path / "output.log", tmp_path / "more.log", tmp_path / "unshown"
    path.write_bytes(b"x" * 1_000_000)
    more.write_bytes(b"the next one\n")
    words = (
        "import sys, pathlib; from hydra_plugins.neuropt_sweeper._output import Follower;"
        "first = Follower(pathlib.Path(sys.argv[1])); first.show(); left = first.close();"
        "new = pathlib.Path(sys.argv[3] + '.new'); new.write_text(str(left)); new.rename(sys.argv[3]);"
        "sys.stdin.read(); Follower(pathlib.Path(sys.argv[2]), unshown=left).close()"
    )
    program = [sys.executable, "-c", words, str(path), str(more), str(rest)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(program, env=environment(), **pipes) as process:  # type: ignore[call-overload]
        while not rest.exists():
            assert process.poll() is None
            time.sleep(0.05)
        left = int(rest.read_text())
        taken = process.stdout.read(1_000_000 - left)
        assert taken == b"x" * (1_000_000 - left)
        process.stdin.close()
        assert process.stdout.read() == f"\n({left} bytes were not shown here: see output.log)\nthe next one\n".encode()
