"""`neuropt export`: what it writes runs, and gives the trial's score again."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sink_scenes import BASE, SPACE, ended
from sweeps import environment, sweep
from typer.testing import CliRunner, Result

from neuropt_core.cli.app import app
from neuropt_core.files import write_whole
from neuropt_core.journal import Journal
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Proposal

TOKEN = "sk-0123456789abcdefghij"
SCRIPT = """
import json, math, pathlib
import hydra
from omegaconf import OmegaConf
{schema}
print("hydra:\\nbase_lr: 5")  # What a script says by itself is no config.

@hydra.main(version_base="1.3", config_path={path!r}, config_name="config")
def main(cfg):
    neuropt = cfg.get("neuropt", {{}})
    loss = (math.log10(cfg.opt.lr) + 3) ** 2 + cfg.model.width + len(neuropt.get("head", []))
    pathlib.Path(hydra.utils.to_absolute_path("ran")).write_text(json.dumps([loss, cfg.note, str(cfg.hub_token)]))
    return loss

if __name__ == "__main__":
    main()
"""
SCHEMA = """
from dataclasses import dataclass, field
from enum import Enum
from hydra.core.config_store import ConfigStore
class Kind(Enum):
    FAST = 1
    SLOW = 2
@dataclass
class Opt:
    lr: float = 0.1
    kind: Kind = Kind.SLOW
@dataclass
class Model:
    width: int = 1
@dataclass
class Config:
    opt: Opt = field(default_factory=Opt)
    model: Model = field(default_factory=Model)
    note: str = "1e-5"
    hub_token: str = "???"
ConfigStore.instance().store(name="config", node=Config)
"""
CONFIG = """
defaults: [{model: small}, {experiment: null}, _self_, {override hydra/job_logging: none}]
base_lr: 0.1
opt: {lr: "${base_lr}", kind: SLOW}
note: plain
hub_token: ???
"""
SMALL = "{width: 1}"
BIG = "{width: 3, act: '${opt.kind}'}"
FAST = "# @package _global_\nopt: {kind: FAST}\n"


def export(*arguments: object) -> Result:
    """Runs the command."""
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def swept(folder: Path, script: Path, *arguments: str) -> Path:
    """Runs a sweep of three trials, and returns its folder."""
    done = sweep(
        folder / "sweep",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.advisor=prior",
        "hydra.sweeper.introspect=false",
        "hydra.sweeper.direction=minimize",
        "opt.lr=tag(log, interval(1e-5, 1))",
        f"hub_token={TOKEN}",
        "++neuropt.head=[fc]",
        "opt.kind=FAST",
        *arguments,
        script=script,
        cwd=folder,
    )
    assert done.code == 0, done.stderr
    return folder / "sweep"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep of a script whose configs are files, with groups, an experiment and a secret."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "train.py").write_text(SCRIPT.format(schema="", path="conf"))
    for name, text in (("config", CONFIG), ("model/small", SMALL), ("model/big", BIG), ("experiment/fast", FAST)):
        write_whole(folder / "conf" / f"{name}.yaml", text)
    return swept(folder, folder / "train.py", "model=choice(big,small)", "experiment=fast", "+more=[1e-5,'1e-5']")


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep of a script whose config is a dataclass, which takes no key that it does not know."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "train.py").write_text(SCRIPT.format(schema=SCHEMA, path=None))
    return swept(folder, folder / "train.py", "model.width=choice(1,2)")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Study]:
    """A study of which one trial has been launched and none has a score."""
    journal = Journal(tmp_path / "neuropt" / "journal.jsonl")
    study = Study(StudySpec("small", SPACE), journal)
    study.ask(Proposal(BASE, "Because.", "default"))
    study.launch(0, Path("0/neuropt"), ["note='it is'", "hub_token=[redacted]"])
    yield study
    journal.close()


def ran(folder: Path, command: str) -> list[object]:
    """Runs a command as it was printed, with the secret put in; returns what the script kept."""
    words = shlex.split(command.replace("=...", f"={TOKEN}"))
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kept: list[object] = json.loads((folder / "ran").read_text())
    return kept


@pytest.mark.slow
def test_the_files_config_runs_again_with_the_score_of_the_trial(files: Path) -> None:
    """The best configuration lies among the script's configs, is checked, holds no secret, and scores the same."""
    done = export(files, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    path = files.parent / "conf" / "best.yaml"
    assert said["file"] == str(path)
    assert said["checked"] is True
    assert said["give"] == ["hub_token"]
    text = path.read_text()
    assert TOKEN not in text + done.output
    assert "- override experiment: fast" in text
    assert "hydra.sweeper" not in text
    assert sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("trial-")) == [
        "best.yaml",
        "config.yaml",
        "experiment",
        "model",
    ]
    score, _, token = ran(files.parent, said["command"])
    assert [score] == said["values"]
    assert token == TOKEN


@pytest.mark.slow
def test_a_file_is_never_replaced_unasked(files: Path) -> None:
    """What is there stays without --force, and the script's own config stays even with it."""
    path = files.parent / "conf" / "trial-1.yaml"
    path.write_text("mine: 1\n")
    own = (path.parent / "config.yaml").read_text()
    refused = export(files, "--trial", 1)
    assert refused.exit_code == 2
    assert "is there already" in refused.output
    assert path.read_text() == "mine: 1\n"
    assert export(files, "--trial", 1, "--force").exit_code == 0
    assert "opt:" in path.read_text()
    assert export(files, "--out", path.parent / "config.yaml", "--force").exit_code == 2
    assert (path.parent / "config.yaml").read_text() == own


@pytest.mark.slow
def test_where_a_difference_would_be_another_config_all_of_it_is_written(files: Path, tmp_path: Path) -> None:
    """A config that the user has changed since the sweep is not taken for the trial's; what is written says so."""
    config = files.parent / "conf" / "config.yaml"
    before = config.read_text()
    config.write_text(before.replace("note: plain", "note: changed"))
    try:
        done = export(files, "--trial", 1, "--out", tmp_path / "then.yaml")
    finally:
        config.write_text(before)
    assert done.exit_code == 0, done.output
    assert "your script composes it to another note" in done.output
    text = (tmp_path / "then.yaml").read_text()
    assert "# Holds the whole config of the trial" in text
    assert "note: plain" in text
    assert TOKEN not in text
    command = done.output.splitlines()[-1].removeprefix("Run it once: ")
    assert f"--config-dir {tmp_path}" in command
    assert ran(files.parent, command)[1] == "plain"


@pytest.mark.slow
def test_a_script_that_is_gone_leaves_the_file_unchecked(files: Path, tmp_path: Path) -> None:
    """Without the script the difference is written all the same, and it is said that nobody could check it."""
    script = files.parent / "train.py"
    script.rename(tmp_path / "away.py")
    try:
        done = export(files, "--out", tmp_path / "alone.yaml")
    finally:
        (tmp_path / "away.py").rename(script)
    assert done.exit_code == 0, done.output
    assert "Not checked: " in done.output
    assert "- override model:" in (tmp_path / "alone.yaml").read_text()


@pytest.mark.slow
def test_a_dataclass_keeps_its_types(typed: Path) -> None:
    """Over a config with a schema, keys that it does not know lie in one file and values in another."""
    done = export(typed, "--trial", 2, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["checked"] is True
    assert Path(said["file"]) == typed / "trial-2.yaml"
    assert "head" in (typed / "trial-2.yaml").read_text()
    assert "kind: FAST" in (typed / "trial-2_values.yaml").read_text()
    assert [ran(typed.parent, said["command"])[0]] == said["values"]


def test_overrides_are_one_line_for_the_shell(small: Study, tmp_path: Path) -> None:
    """With --overrides a line is printed that a shell takes apart to the same, and what is to be put in beside it."""
    small.tell(0, ended(0.5))
    done = export(tmp_path, "--overrides")
    assert done.exit_code == 0, done.output
    assert shlex.split(done.stdout) == ["note='it is'", "hub_token=[redacted]"]
    assert "put in hub_token" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["neuropt"]


def test_exit_codes_tell_no_score_from_no_study(small: Study, tmp_path: Path) -> None:
    """Without a score it is 1, unless --force asks for such a trial; without study, trial or folder it is 2."""
    assert export(tmp_path).exit_code == 1
    refused = export(tmp_path, "--trial", 0, "--overrides")
    assert refused.exit_code == 1
    assert "--force" in refused.output
    assert export(tmp_path, "--trial", 0, "--overrides", "--force").exit_code == 0
    assert export(tmp_path, "--trial", 7).exit_code == 2
    assert export(tmp_path / "absent").exit_code == 2
    gone = export(tmp_path, "--trial", 0, "--force")
    assert gone.exit_code == 2
    assert "multirun.yaml: cannot be read" in gone.output
