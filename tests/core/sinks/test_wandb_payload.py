"""What W&B is told, before any process or network is involved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sink_scenes import Story, falling

from neuropt_core.curve import Point
from neuropt_core.sinks._wandb_notebook import finish_message, progress_message, study_run
from neuropt_core.sinks._wandb_payload import (
    about,
    nested,
    rows,
    run_id,
    trial_message,
)
from neuropt_core.trial import Predicted


@pytest.fixture
def story() -> Story:
    """A study in a folder that is never touched."""
    return Story(Path("/sweep"))


def test_a_resumed_study_goes_on_in_the_same_runs(story: Story) -> None:
    """The ids depend on the study's name and folder alone, and each trial has its own."""
    first = run_id(story.scene), run_id(story.scene, 7)
    story.run(0.4)
    assert (run_id(story.scene), run_id(story.scene, 7)) == first
    others = {run_id(replace(story.scene, folder=Path("/other"))), run_id(story.scene, 8)}
    assert len({*first, *others}) == 4
    assert not set(first[1]) & set("/\\#?%:")


def test_parameters_are_nested_at_their_dots() -> None:
    """optimizer.lr is found under optimizer; a value of optimizer itself, before or after, under optimizer._self_."""
    params = {"optimizer": "adam", "optimizer.lr": 0.1, "a.b.c": 1, "a.b": None, "x": True}
    assert nested(params) == {
        "optimizer": {"_self_": "adam", "lr": 0.1},
        "a": {"b": {"c": 1, "_self_": None}},
        "x": True,
    }


def test_a_trial_is_told_whole(story: Story) -> None:
    """A trial's run has the group, its name, the nested config, the rationale, and its score and state as summary."""
    story.run(0.4)
    predicted = Predicted(0.2, 0.3, 0.4)
    words = {"rationale": "Why.", "hypothesis": "It overfits.", "falsifier": "The loss rises.", "intent": "repair"}
    trial = story.run(0.35, predicted=predicted, stands_in_for="llm", parent=0, curve=falling(1.0, 0.5), **words)
    config = {"data.name": "digits", "data.path": "${oc.env:HOME}", "optimizer.lr": 5, "neuropt.seed": 3}
    scene = replace(story.scene, config=config, retries={1: 2})
    message = trial_message(scene, trial, "project", "me")
    run = message["run"]
    assert (run["project"], run["entity"], run["group"]) == ("project", "me", "story")
    assert (run["name"], run["job_type"], run["notes"]) == ("trial-001", "trial", "It overfits.\n\nWhy.")
    assert run["tags"] == ["neuropt", "prior", "repair"]
    assert run["config"] == {
        "data": {"name": "digits", "path": "${oc.env:HOME}"},
        "optimizer": {"_self_": "adam", "lr": 1e-3},
        "neuropt": {
            "seed": 3,
            "freeze": False,
            "trial": 1,
            "source": "prior",
            "stands_in_for": "llm",
            "intent": "repair",
            "parent": 0,
            "hypothesis": "It overfits.",
            "falsifier": "The loss rises.",
            "expected": {"p10": 0.2, "p50": 0.3, "p90": 0.4},
        },
        "neuropt_hypothesis": "It overfits.",
        "neuropt_rationale": "Why.",
        "neuropt_falsifier": "The loss rises.",
    }
    assert message["summary"] == {
        "score": 0.35,
        "neuropt/score": 0.35,
        "neuropt/state": "COMPLETE",
        "neuropt/seconds": 12.0,
        "neuropt/retries": 2,
        "neuropt/surprise": pytest.approx(-0.64, abs=0.01),
        "neuropt/verdict": "as expected",
    }
    assert message["exit_code"] == 0


@pytest.mark.parametrize(("value", "code", "state"), [("boom", 1, "FAIL"), ("pruned:bad", 0, "PRUNED")])
def test_a_trial_without_a_score_has_a_reason(story: Story, value: str, code: int, state: str) -> None:
    """A failed trial ends with exit code 1, a pruned one with 0; both keep the reason and neither has a score."""
    message = trial_message(story.scene, story.run(value), "p", None)
    assert message["exit_code"] == code
    assert message["summary"]["neuropt/state"] == state
    assert "score" not in message["summary"]
    assert message["summary"]["neuropt/reason"]


def test_each_report_is_a_row_with_its_own_step(story: Story) -> None:
    """Rows keep the order of the reports, and carry the job's step as a value: none is dropped for coming late."""
    points = (Point(1, {"val": 0.5}, 2.0), Point(0, {"train": 0.9}, 1.0), Point(1, {"train": 0.8}, 3.0))
    assert rows(points) == [
        {"step": 1, "neuropt/seconds": 2.0, "val": 0.5},
        {"step": 0, "neuropt/seconds": 1.0, "train": 0.9},
        {"step": 1, "neuropt/seconds": 3.0, "train": 0.8},
    ]


def test_progress_has_the_best_so_far(story: Story) -> None:
    """Each ended trial adds its score and the best so far; a failed one keeps the best and has no score."""
    seen = []
    for value in ("boom", 0.4, 0.5):
        trial = story.run(value)
        seen.append(progress_message(story.scene, trial)["values"])
    assert [v.get("best") for v in seen] == [None, 0.4, 0.4]
    assert [v.get("score") for v in seen] == [None, 0.4, 0.5]
    assert [v["failed"] for v in seen] == [1, 0, 0]


def test_the_end_has_a_table_of_all_trials(story: Story) -> None:
    """The study's run ends with the comparison and one row a trial."""
    story.run(0.4)
    story.run("boom", params={"optimizer.lr": 0.01})
    story.run(0.3, params={"optimizer": "sgd"}, rationale="Why.")
    message = finish_message(story.scene, "all done", {})
    assert message["summary"]["ended"] == "all done"
    assert (message["summary"]["best"], message["summary"]["best_trial"], message["summary"]["baseline"]) == (
        0.3,
        2,
        0.4,
    )
    table = [dict(zip(message["table"]["columns"], row, strict=True)) for row in message["table"]["rows"]]
    assert [row["score"] for row in table] == [0.4, None, 0.3]
    assert table[1]["reason"] == "exception: boom"
    assert (table[2]["changed"], table[2]["rationale"]) == ("optimizer=sgd", "Why.")


def test_the_study_run_tells_the_space_and_no_overrides(story: Story) -> None:
    """The study's config has the space and direction, but not the command line, which may hold secrets."""
    scene = replace(story.scene, spec=replace(story.scene.spec, fixed=("key=canary",)), command="python canary.py")
    run = study_run(scene, "p", None)
    assert run["job_type"] == "controller"
    assert run["config"]["neuropt"]["direction"] == "minimize"
    assert "canary" not in str(run)


def test_replicates_and_the_recommendation_are_told(tmp_path: Path) -> None:
    """A replicate's run names the trial that it repeats and its seed; the study's run says what to take."""
    story = Story(tmp_path)
    story.run(0.5)
    again = story.run(0.6, source="replicate", parent=0, seed=7)
    assert about(again)["neuropt"] | {"parent": 0, "seed": 7} == about(again)["neuropt"]
    summary = finish_message(story.scene, "over", {})["summary"]
    assert summary["recommended_trial"] == 0
    assert summary["recommendation"].startswith("trial 0, run 2 times")
