"""One sweep per launcher in which trial n uses W&B in way n, and what must have become of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeps import Sweep, sweep
from wandb_file import LocalRun, read_run

from neuropt_core.tracking import RunRecord, recorded

APP = Path(__file__).parent / "apps" / "tracked.py"
WAYS = ("forgets", "finishes", "reinits", "tests", "insists", "raises", "killed", "disables", "ignores", "forgets")
"""What trial n does. The last one comes after all that could have left something behind in its process."""
STATES = {"raises": "FAIL", "killed": "FAIL"}
LOSSES = [0.9, 0.5, 0.3]


@dataclass(frozen=True)
class Seen:
    """One run of a trial: what the job recorded of it, and what lies on the disk."""

    known: RunRecord
    run: LocalRun

    @property
    def losses(self) -> list[float]:
        """Its curve."""
        return [row["val_loss"] for row in self.run.history if "val_loss" in row]

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Its name, group, project and job type."""
        fields = self.run.fields
        return fields["display_name"], fields["run_group"], fields["project"], fields["job_type"]


def tracked(folder: Path, *arguments: str, ways: tuple[str, ...] = WAYS, within: Sequence[str] = ()) -> Sweep:
    """Runs the sweep to its end, all of its W&B offline."""
    return sweep(folder, *settings(ways), *arguments, script=APP, env={"WANDB_MODE": "offline"}, within=within)


def settings(ways: tuple[str, ...] = WAYS) -> tuple[str, ...]:
    """The arguments of the sweep."""
    return (
        f"ways=[{','.join(ways)}]",
        "hydra.sweeper.wandb.mode=offline",
        "hydra.sweeper.wandb.project=studies",
        "hydra.sweeper.study_name=bowls",
        "hydra.sweeper.advisor=prior",
        f"hydra.sweeper.n_trials={len(ways)}",
        "hydra.sweeper.max_failure_rate=1",
        "hydra.sweeper.pruning.mode=off",
    )


def runs_of(done: Sweep, number: int) -> list[Seen]:
    """The runs of a trial, in the order in which it began them."""
    known = recorded(done.folder / str(number) / "neuropt" / "runs.jsonl")
    return [Seen(run, read_run(Path(run.file))) for run in known]


def tags_of(one: Seen) -> list[str]:
    """The tags that a run gets from us: the name, who proposed its trial, and what for, where that is said."""
    about = one.run.config["neuropt"]
    return ["neuropt", about["source"], *([about["intent"]] if "intent" in about else [])]


def check(done: Sweep, ways: tuple[str, ...] = WAYS) -> None:
    """Proves what became of every way to use W&B."""
    assert done.code == 0, done.stderr
    assert "neuropt could not" not in done.stdout + done.stderr
    told = done.told()
    assert {n: told[n]["state"] for n in told} == {n: STATES.get(way, "COMPLETE") for n, way in enumerate(ways)}
    ids: list[str] = []
    for number, way in enumerate(ways):
        seen, name = runs_of(done, number), f"trial-{number:03d}"
        ids += [one.known.id for one in seen]
        if way == "killed" and not _flushes():
            assert [one.known.name for one in seen] == [name]
            continue
        assert [one.place for one in seen] == _places(way, name), way
        assert [(one.run.exit_code, one.known.ended) for one in seen] == _ends(way, len(seen)), way
        for place, one in enumerate(seen):
            assert one.losses == _losses(way, place), (way, place)
            assert one.run.config["neuropt"]["trial"] == number, way
            assert one.run.config["neuropt_rationale"], way
            assert one.run.tags == [*(["a"] if way == "insists" else []), *tags_of(one)], way
    assert len({*ids}) == len(ids), "two trials share a run"


def _flushes() -> bool:
    """Tells whether W&B can be told to keep its file up to date: older ones lose up to 15 seconds in a kill."""
    import wandb

    return "x_transaction_log_flush_interval" in wandb.Settings.model_fields


def _places(way: str, name: str) -> list[tuple[str, str, str, str]]:
    if way in ("disables", "ignores"):
        return []
    if way == "tests":
        return [("fit", "bowls", "studies", "train"), (f"{name}-2", "bowls", "studies", "test")]
    if way == "insists":
        return [("mine", "ours", "own", "trial")]
    names = [name, f"{name}-2"] if way == "reinits" else [name]
    return [(one, "bowls", "studies", "trial") for one in names]


def _ends(way: str, count: int) -> list[tuple[int | None, int | None]]:
    """The exit code on the disk, and the recorded one."""
    code = {"raises": 1, "killed": None}.get(way, 0)
    return [(code, code)] * count


def _losses(way: str, place: int) -> list[float]:
    if place == 0:
        return LOSSES
    return LOSSES[:1] if way == "reinits" else []
