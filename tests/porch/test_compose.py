"""The commands that are shown to people."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydra_plugins.neuropt_sweeper._compose import job_arguments, resume_command, script_command

CASES = [
    (["python", "train.py", "-m", "a=1"], ["train.py", "-m", "a=1"], "python train.py"),
    (
        ["python", "-m", "pkg.train", "--multirun", "-cn", "big", "a=1"],
        ["/x/pkg/train.py", "--multirun", "-cn", "big", "a=1"],
        "python -m pkg.train -cn big",
    ),
    (
        ["python", "-W", "error", "my train.py", "--multirun", "--config-name=big"],
        ["my train.py", "--multirun", "--config-name=big"],
        "python -W error 'my train.py' --config-name=big",
    ),
    # The config makes a sweep of every start, unless the line says that it is to be none.
    (["python", "train.py", "search=big"], ["train.py", "search=big"], "python train.py hydra.mode=RUN"),
]


@pytest.mark.parametrize(("original", "argv", "command"), CASES)
def test_the_script_is_started_as_it_was(original: list[str], argv: list[str], command: str) -> None:
    """Python's own options, the script or module, and which config: all but the overrides and --multirun."""
    assert script_command(original, argv) == command


def test_a_study_goes_on_with_its_own_command_and_folder() -> None:
    """The command that resumes is the one that began, with the folder named once."""
    argv = ["train.py", "-m", "hydra/sweeper=neuropt", "hydra.sweep.dir=old", "a=choice(1,2)"]
    line = resume_command(Path("/s w"), ["python", *argv], argv)
    assert line == "python train.py -m hydra/sweeper=neuropt 'a=choice(1,2)' 'hydra.sweep.dir=/s w'"


def test_the_command_that_goes_on_holds_no_secret() -> None:
    """A key on the command line is shown as redacted, in the config and in the environment of the jobs."""
    argv = ["train.py", "-m", "hub.token=abc", "hydra.job.env_set.MY_KEY=abc", "pad_token=x", "monitor_key=loss"]
    line = resume_command(Path("/s"), ["python", *argv], argv)
    assert line == (
        "python train.py -m 'hub.token=[redacted]' 'hydra.job.env_set.MY_KEY=[redacted]' pad_token=x monitor_key=loss "
        "hydra.sweep.dir=/s"
    )


def test_a_job_has_arguments_that_run_it_alone() -> None:
    """Who starts the script again as this process was started gets the job, not the sweep."""
    argv = ["train.py", "-m", "-cn", "big", "hydra/sweeper=neuropt", "lr=interval(0, 1)", "search=big"]
    assert job_arguments(["search=big", "lr=0.5"], argv) == [
        *("train.py", "-cn", "big"),
        *("hydra.mode=RUN", "search=big", "lr=0.5"),
    ]
