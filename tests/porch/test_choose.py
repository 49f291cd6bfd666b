"""Which backend a launcher gets: looked at, remarked upon, and forced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.plugins.launcher import Launcher
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher, SlurmLauncher
from omegaconf import OmegaConf

from hydra_plugins.neuropt_sweeper._choose import choose, describe, make_backend
from hydra_plugins.neuropt_sweeper._interrupt import Interrupt
from hydra_plugins.neuropt_sweeper._settings import read_settings
from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf
from neuropt_core.errors import ConfigError


class OwnLauncher(Launcher):
    """A launcher of somebody's own, of which nothing is known but Hydra's protocol."""

    def setup(self, **_: Any) -> None:
        """Takes what Hydra gives."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Launches nothing."""
        return []


class OwnSlurm(SlurmLauncher):
    """The kind of subclass that a site writes for its cluster."""


class OtherApi(OwnLauncher):
    """Bears submitit's mark, and keeps its parameters elsewhere."""

    _EXECUTOR = "slurm"


def conf(**settings: object) -> NeuroptSweeperConf:
    return read_settings(settings)


def slurm(kind: type = SlurmLauncher) -> Any:
    return kind(submitit_folder="x", partition="dev")


def ray_launcher() -> Any:
    plugin = pytest.importorskip("hydra_plugins.hydra_ray_launcher.ray_launcher")
    return plugin.RayLauncher(ray=OmegaConf.create({"init": {"address": None}, "remote": {}}))


def test_each_launcher_gets_the_backend_that_serves_it_best() -> None:
    """Submitit's and ray's launchers and their subclasses are known by what they do; all else gets batches."""
    assert choose(conf(), slurm()).backend == "submitit"
    assert choose(conf(), slurm(OwnSlurm)).backend == "submitit"
    assert choose(conf(), LocalLauncher(submitit_folder="x")).backend == "submitit"
    assert choose(conf(), BasicLauncher()).backend == "process"
    assert choose(conf(isolate=False), BasicLauncher()).backend == "batch"
    assert choose(conf(), JoblibLauncher(n_jobs=2)).backend == "batch"
    assert choose(conf(), OwnLauncher()).backend == "batch"


def test_ray_is_known_and_its_other_launcher_is_not_taken_for_it() -> None:
    """The ray launcher is served trial by trial; a subclass that launches otherwise keeps its own way."""
    launcher = ray_launcher()
    assert choose(conf(), launcher).backend == "ray"
    kind = type(launcher)
    same = type("Same", (kind,), {})(ray=launcher.ray_cfg)
    other = type("Other", (kind,), {"launch": OwnLauncher.launch})(ray=launcher.ray_cfg)
    assert choose(conf(), same).backend == "ray"
    assert choose(conf(), other).backend == "batch"


def test_a_launcher_that_only_looks_like_submitit_is_served_in_batches_and_told_so() -> None:
    """Where the API does not fit, the sweep still runs, with one line that says what is missing."""
    said = choose(conf(), OtherApi())
    assert said.backend == "batch"
    assert "looks like a submitit launcher" in said.remarks[0]
    assert choose(conf(), SlurmLauncher(partition="dev")).backend == "batch"


@pytest.mark.parametrize(
    ("backend", "launcher", "sentence"),
    [
        (
            "submitit",
            JoblibLauncher(),
            "and the launcher is hydra_plugins.hydra_joblib_launcher.joblib_launcher.Joblib",
        ),
        ("process", OwnLauncher(), "process runs under Hydra's basic launcher, and the launcher is"),
        ("ray", BasicLauncher(), "Leave it out, or take process or batch."),
        ("process", LocalLauncher(submitit_folder="x"), "take submitit or batch"),
    ],
)
def test_a_backend_that_cannot_serve_the_launcher_is_refused(backend: str, launcher: Launcher, sentence: str) -> None:
    """The error names the backend's needs, what the launcher is, and what would fit."""
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.backend: ") as refused:
        choose(conf(backend=backend), launcher)
    assert sentence in str(refused.value)


def test_process_and_no_isolation_contradict_each_other() -> None:
    """Who asks for a process and for none has to say which."""
    with pytest.raises(ConfigError, match=r"contradicts hydra\.sweeper\.isolate=false"):
        choose(conf(backend="process", isolate=False), BasicLauncher())


def test_batches_are_possible_under_every_launcher() -> None:
    """backend=batch is never refused."""
    for launcher in (slurm(), BasicLauncher(), JoblibLauncher(), OwnLauncher(), OtherApi()):
        assert choose(conf(backend="batch"), launcher).backend == "batch"


@pytest.mark.parametrize(
    ("settings", "launcher", "sentence"),
    [
        ({"isolate": False, "max_parallel": 3}, BasicLauncher(), "max_parallel=3 has no effect"),
        ({"isolate": False}, JoblibLauncher(), "isolate=false has no effect"),
        ({"arrays": True}, JoblibLauncher(), "arrays=true has no effect"),
        ({"max_parallel": 3}, JoblibLauncher(n_jobs=2), "Only 2 of a batch run at once, by hydra.launcher.n_jobs"),
    ],
)
def test_a_setting_without_effect_is_said(settings: dict[str, object], launcher: Launcher, sentence: str) -> None:
    """What is set and does nothing under this launcher stands in the first lines, and stops nobody."""
    assert sentence in describe(conf(**settings), launcher)


def test_usual_settings_need_no_remark() -> None:
    """A plain sweep is told how it runs and nothing more."""
    for launcher in (slurm(), BasicLauncher(), JoblibLauncher(n_jobs=2), OwnLauncher()):
        assert choose(conf(), launcher).remarks == ()


def test_the_words_tell_how_many_at_a_time() -> None:
    """What is asked for holds; else 4 under SLURM, joblib's own number of workers, and 1 where nothing is known."""
    assert describe(conf(), slurm()) == "SLURM through submitit, 4 at a time"
    assert describe(conf(max_parallel=9), slurm()) == "SLURM through submitit, 9 at a time"
    assert "JoblibLauncher, 2 at a time, in batches" in describe(conf(), JoblibLauncher(n_jobs=2))
    assert describe(conf(), OwnLauncher()) == "OwnLauncher, 1 at a time"


def test_the_backend_that_is_made_is_the_one_that_was_described(tmp_path: Path) -> None:
    """The first lines of the sweep say what the dry run said, remarks included."""
    launcher, settings = JoblibLauncher(n_jobs=2), conf(isolate=False, max_parallel=4)
    backend = make_backend(settings, launcher, Interrupt(lambda text: None))
    assert (backend.name, backend.capacity) == ("batch", 4)
    assert backend.words == describe(settings, launcher)
    assert len(backend.words.splitlines()) == 3
