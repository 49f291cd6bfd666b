"""`neuropt report`: what it writes, says and refuses."""

from __future__ import annotations

import logging
import webbrowser
from pathlib import Path

import pytest
from sink_scenes import BASE, SPACE, ended
from typer.testing import CliRunner, Result

from neuropt_core.advice import Consultation
from neuropt_core.cli.app import app
from neuropt_core.cli.report import sink_for, status_of, uploaded
from neuropt_core.journal import Journal
from neuropt_core.retold import scene_of
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.wandb import WandbSink
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Proposal, Trial


def report(*arguments: object, **env: str) -> Result:
    """Runs the command, without anything that W&B would find."""
    nothing = {"WANDB_API_KEY": "", "NETRC": "/nowhere", "HOME": "/nowhere", "WANDB_BASE_URL": "http://127.0.0.1:9"}
    return CliRunner().invoke(app, ["report", *map(str, arguments)], env={**nothing, **env})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sweep in which two of three trials have ended, out of order, and nobody works."""
    journal = Journal(tmp_path / "sweep" / "neuropt" / "journal.jsonl")
    study = Study(StudySpec("told", SPACE), journal, about={"n_trials": 5})
    for number in range(3):
        study.ask(
            Proposal({**BASE, "optimizer.lr": 10.0 ** -(number + 2)}, "Because.", "prior" if number else "default")
        )
        study.launch(number)
    study.tell(1, ended(0.4))
    study.tell(0, ended(0.5))
    journal.close()
    return tmp_path / "sweep"


def test_the_report_lies_in_the_sweeps_folder(folder: Path) -> None:
    """Without options report.html is written there, and nothing else changes."""
    before = sorted(path.name for path in folder.rglob("*"))
    done = report(folder)
    assert done.exit_code == 0, done.output
    assert f"Written: {folder / 'report.html'}" in done.output
    assert "<html" in (folder / "report.html").read_text()
    assert sorted(path.name for path in folder.rglob("*")) == sorted([*before, "report.html"])


def test_the_report_lies_where_it_is_wanted(folder: Path, tmp_path: Path) -> None:
    """With --out it is written elsewhere, into a folder that is made, and the sweep's folder stays as it is."""
    done = report(folder, "--out", tmp_path / "new" / "x.html")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new" / "x.html").is_file()
    assert not (folder / "report.html").exists()


def test_a_place_that_cannot_be_written_is_told(folder: Path) -> None:
    """A file in the place of a folder ends in one sentence."""
    done = report(folder, "--out", folder / "neuropt" / "journal.jsonl" / "x.html")
    assert done.exit_code == 2
    assert "x.html: cannot be written" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("there", [True, False])
def test_the_browser_opens_it_or_its_address_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """With --open the browser gets the file's address; a mock stands in, since a test must not open one."""
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(asked.append(url)) or there)
    done = report(folder, "--open")
    assert done.exit_code == 0, done.output
    assert asked == [(folder / "report.html").as_uri()]
    assert ("Opened in your browser." if there else "No browser could be opened here; it is file:///") in done.output


@pytest.mark.parametrize("named", ["neuropt", "neuropt/journal.jsonl"])
def test_what_lies_in_a_study_names_it(folder: Path, named: str) -> None:
    """As for the other commands, the journal and its folder stand for the sweep that they belong to."""
    done = report(folder / named)
    assert done.exit_code == 0, done.output
    assert f"Written: {folder / 'report.html'}" in done.output


@pytest.mark.parametrize("wrong", ["absent", "."])
def test_a_folder_without_a_study_is_refused(folder: Path, wrong: str) -> None:
    """A wrong folder ends with exit code 2 and a sentence, and nothing is made there."""
    done = report(folder.parent / wrong)
    assert done.exit_code == 2
    assert "Name the folder that the sweep printed" in done.output
    assert not (folder.parent / wrong / "report.html").exists()


def test_a_damaged_journal_is_told_with_its_line(folder: Path) -> None:
    """A line that is no JSON is named."""
    path = folder / "neuropt" / "journal.jsonl"
    path.write_text(path.read_text().replace('{"op": "ask"', '{"op: "ask"', 1))
    done = report(folder)
    assert done.exit_code == 2
    assert "journal.jsonl, line 3: is not JSON" in done.output


def test_the_upload_needs_a_key(folder: Path) -> None:
    """Without a key for W&B nothing is uploaded, in one sentence; the page is there."""
    done = report(folder, "--wandb")
    assert done.exit_code == 2
    assert "needs a key for W&B, and there is none. Run `wandb login`, or set WANDB_API_KEY." in done.output
    assert not (folder / "wandb").exists()


def test_a_running_sweep_is_reported_and_not_uploaded(folder: Path) -> None:
    """While a sweeper works the page says so, and W&B is left to the sweeper, which writes there itself."""
    journal = Journal(folder / "neuropt" / "journal.jsonl")
    done = report(folder, "--wandb", WANDB_API_KEY="4" * 40)
    assert status_of(scene_of(folder)).startswith("running (process ")
    journal.close()
    assert done.exit_code == 2
    assert "which writes to W&B itself" in done.output
    assert "running (process" in (folder / "report.html").read_text()
    assert status_of(scene_of(folder)) == "not running: 2 of 5 trials ended"


@pytest.mark.parametrize("options", [("--project", "p"), ("--entity", "e"), ("--wandb", "--project", "a/b")])
def test_settings_that_make_no_sense_are_refused(folder: Path, options: tuple[str, ...]) -> None:
    """A project without W&B, and a name that W&B does not take, end with exit code 2."""
    done = report(folder, *options, WANDB_API_KEY="4" * 40)
    assert done.exit_code == 2
    assert "--wandb" in done.output or "wandb.project" in done.output


class Listener:
    """A sink that keeps what it is told, and warns when it is asked to."""

    def __init__(self, warning: str = "") -> None:
        self.told: list[tuple[str, int, int | None]] = []
        self._warning = warning

    def study_started(self, scene: Scene) -> None:
        """Keeps how many trials there are."""
        self.told.append(("started", len(scene.trials), None))

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        """Keeps nothing."""

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        """Keeps the trial, and how many have ended."""
        self.told.append(("told", sum(t.outcome is not None for t in scene.trials), trial.number))

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        """Keeps nothing."""

    def study_finished(self, scene: Scene, reason: str) -> None:
        """Keeps how many trials there are; warns."""
        self.told.append((reason, len(scene.trials), None))
        if self._warning:
            logging.getLogger("neuropt_core.sinks.wandb").warning(self._warning)


@pytest.mark.parametrize("warning", ["", "W&B: it is down"])
def test_a_sink_is_told_as_its_sweep_would_have(folder: Path, warning: str) -> None:
    """Trials are told in the order in which they ended; a warning of the sink's is shown, and the upload is partial."""
    sink, said = Listener(warning), list[str]()
    whole = uploaded(folder, scene_of(folder), sink, said.append)
    assert whole == (not warning)
    assert said == ([warning] if warning else [])
    assert sink.told == [
        ("started", 0, None),
        ("told", 1, 1),
        ("told", 2, 0),
        ("told again from its journal: 2 of 5 trials have ended", 3, None),
    ]


def test_what_a_sweep_kept_from_wandb_is_kept_from_it_again(tmp_path: Path) -> None:
    """The project and how much of the exchanges is told are those of the sweep, unless another project is named."""
    kept = {"project": "mine", "entity": None, "log_prompts": "none", "report": False}
    journal = Journal(tmp_path / "neuropt" / "journal.jsonl")
    Study(StudySpec("told", SPACE), journal, about={"wandb": kept})
    journal.close()
    for asked, project in ((None, "mine"), ("other", "other")):
        sink = sink_for(scene_of(tmp_path), asked, None, {"WANDB_API_KEY": "0" * 40})
        assert isinstance(sink, WandbSink)
        assert (sink.settings.project, sink.settings.log_prompts) == (project, "none")
