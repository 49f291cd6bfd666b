"""How `neuropt` meets a shell: exit codes, pipes, completion, and a page that names all that it takes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from sink_scenes import BASE, SPACE, ended
from sweeps import environment
from typer.main import get_command

import neuropt_core
from neuropt_core.cli._completion import sweep_folders
from neuropt_core.cli._shell import BROKEN, FAILS, INTERRUPTED, WORKS, WRONG, code_of
from neuropt_core.cli.app import app
from neuropt_core.journal import Journal
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Proposal

NEUROPT = str(Path(sys.executable).parent / "neuropt")
PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def _shell(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NEUROPT, *words], cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """The folder of a sweep with one scored trial and one that runs, where Hydra would have put it."""
    folder = tmp_path / "multirun" / "2026-11-23" / "06-34-54"
    journal = Journal(folder / "neuropt" / "journal.jsonl")
    study = Study(StudySpec("told", SPACE), journal)
    for number in range(2):
        study.ask(
            Proposal({**BASE, "optimizer.lr": 0.01 + number / 100}, "Because.", "default" if not number else "prior")
        )
        study.launch(number)
    study.tell(0, ended(0.5))
    journal.close()
    return folder


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    """The option --version prints it and nothing else, and an unknown command is a wrong one."""
    done = _shell("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"neuropt {neuropt_core.__version__}\n")
    done = _shell("nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'nothing'" in done.stderr


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (typer.Exit(WORKS), 0),
        (typer.Exit(FAILS), 1),
        (typer.Exit(WRONG), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("ours"), 70),
    ],
    ids=["works", "fails", "wrong", "interrupted", "broken"],
)
def test_each_end_has_its_code(raised: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of the command's own has another code than a no, and shows its traceback."""
    small = typer.Typer(pretty_exceptions_enable=False)

    @small.command()
    def command() -> None:
        raise raised

    assert code_of(small, []) == code
    assert {BROKEN, INTERRUPTED} == {70, 130}
    assert ("ZeroDivisionError: ours" in capsys.readouterr().err) == (code == BROKEN)


def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    """SIGINT in the middle of an inspection ends the command with 130 and without a traceback."""
    (tmp_path / "slow.py").write_text("open('began', 'w').close()\nimport time\ntime.sleep(60)\n")
    # As a shell's job of its own, so that the child gets the signal too, as from a terminal.
    with subprocess.Popen(
        [NEUROPT, "inspect", "slow:f"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as running:
        while not (tmp_path / "began").exists():
            assert running.poll() is None
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in stderr


def test_a_reader_that_goes_away_is_no_fault(sweep: Path) -> None:
    """With the reading end of its pipe closed, the command is silent and ends as SIGPIPE would have ended it."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [NEUROPT, "results", str(sweep), "--json"],
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_shell_is_offered_commands_options_folders_and_trials(sweep: Path, tmp_path: Path) -> None:
    """By the protocols of bash, zsh and fish, as the installed completion speaks them."""

    def bash(words: str) -> list[str]:
        count = str(len(words.split(" ")) - 1)
        env = {"_NEUROPT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
        return _shell(cwd=tmp_path, **env).stdout.split()

    assert {"report", "results"} <= set(bash("neuropt re"))
    assert {"--top", "--json", "--csv", "--all"} <= set(bash("neuropt results --"))
    assert bash("neuropt results ") == ["multirun/2026-11-23/06-34-54"]
    assert bash("neuropt results multirun/2026-1") == ["multirun/2026-11-23/06-34-54"]
    assert bash(f"neuropt stop {sweep} --trial ") == ["1"]
    zsh = _shell(cwd=tmp_path, _NEUROPT_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="neuropt insp")
    assert '"inspect"' in zsh.stdout
    fish = {"_NEUROPT_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert _shell(cwd=tmp_path, **fish, _TYPER_COMPLETE_ARGS="neuropt stop x --no").stdout.startswith("--now\t")


def test_completion_installs_itself(tmp_path: Path) -> None:
    """The option --install-completion, given in bash, writes what bash sources into the home of whoever asks."""
    # Which shell asks is seen by the processes above, and the second command keeps bash there.
    line = f"{shlex.quote(NEUROPT)} --install-completion; exit $?"
    asked = ["bash", "--norc", "-c", line]
    env = environment(HOME=str(tmp_path))
    done = subprocess.run(asked, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / ".bash_completions" / "neuropt.sh").read_text()
    assert "_NEUROPT_COMPLETE=complete_bash" in written
    assert "neuropt.sh" in (tmp_path / ".bashrc").read_text()


def test_sweeps_are_offered_the_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that hold a journal are offered by age, others and hidden ones are not."""
    monkeypatch.chdir(tmp_path)
    for age, name in enumerate(["a", "b/c", ".hidden", "a/deeper"]):
        journal = tmp_path / name / "neuropt" / "journal.jsonl"
        journal.parent.mkdir(parents=True)
        journal.touch()
        os.utime(journal, (age, age))
    (tmp_path / "empty").mkdir()
    assert sweep_folders("") == ["a/deeper", "b/c", "a"]
    assert sweep_folders("b") == ["b/c"]
    assert sweep_folders(str(tmp_path / "a")) == [str(tmp_path / "a" / "deeper"), str(tmp_path / "a")]
    assert sweep_folders("no/such/") == []


def test_the_page_names_all_that_the_command_takes() -> None:
    """Every command has a section in docs/cli.md, and each of its options stands there or on a page linked from it."""
    page = PAGE.read_text(encoding="utf-8")
    sections = {part.splitlines()[0].strip(" `"): part for part in page.split("\n## ")[1:]}
    missing = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        section = sections.get(f"neuropt {name}")
        if section is None:
            missing.append(name)
            continue
        linked = [PAGE.parent / part.split(")")[0].split("#")[0] for part in section.split("](")[1:]]
        text = section + "".join(path.read_text(encoding="utf-8") for path in linked if path.is_file())
        options = [o for p in command.params if p.param_type_name == "option" for o in (*p.opts, *p.secondary_opts)]
        missing += [f"{name} {option}" for option in options if option != "--help" and f"`{option}" not in text]
    assert missing == []


def test_the_exit_codes_of_the_page_are_those_of_the_help() -> None:
    """Each code that `neuropt --help` tells stands in the page's table."""
    told = get_command(app).epilog or ""
    codes = [word for word in told.split() if word.isdigit() and word != "1."]
    assert {"0", "1", "2", "70", "130", "141"} <= set(codes)
    page = PAGE.read_text(encoding="utf-8")
    assert [code for code in {*codes} - {"1"} if f"| {code} |" not in page] == []


def test_a_stream_that_takes_nothing_is_no_fault_of_ours(sweep: Path) -> None:
    """A full device is one sentence, a closed stdout is silence, and ASCII has a question mark for the rest."""
    words = f'"{NEUROPT}" results --csv - "{sweep}"'
    ascii_only = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    for end, code, said in ((">/dev/full", WRONG, "stdout: cannot be written"), (">&-", WORKS, ""), ("", WORKS, "")):
        done = subprocess.run(
            ["bash", "-c", f"{words} {end}"], env=ascii_only, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stderr
        assert done.stderr.decode().startswith(said)
        assert "Traceback" not in done.stderr.decode()
