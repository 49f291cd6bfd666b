"""What W&B is told of the study, before any process or network is involved."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sink_scenes import Story, falling

from neuropt_core.advice import Consultation, Lesson, Rejection
from neuropt_core.attempt_files import AttemptFiles
from neuropt_core.budget import Used
from neuropt_core.sinks._wandb_notebook import (
    finish_message,
    progress_message,
    study_run,
    sweep_config,
    transcript_plan,
    trials_table,
)
from neuropt_core.sinks._wandb_payload import annotate_message, run_id, trial_message
from neuropt_core.sinks.base import Scene
from neuropt_core.spending import Spent
from neuropt_core.tracking import RunRecord, record
from neuropt_core.trial import Failure, Outcome, Predicted, Proposal, Trial, TrialState

KEYS = Path(__file__).parents[3] / "docs" / "wandb_keys.md"
ASKED = Consultation(
    "m",
    usage={"input_tokens": 10, "output_tokens": 5},
    seconds=2.0,
    complaints=("lr: too high", "hunter2-is-long"),
    diagnosis="It overfits, says hunter2-is-long.",
    learnt=(Lesson("Decay helps."), Lesson("SGD is slow.")),
    prompt=({"role": "user", "content": "The prompt."},),
    reply="The reply.",
    accepted=1,
)


@pytest.fixture
def story() -> Story:
    """A study in a folder that is never touched."""
    return Story(Path("/sweep"))


def rich(story: Story) -> tuple[Scene, list[Trial]]:
    """Returns a study in which everything has happened at least once, and its trials."""
    story.more = {"further": ("maximize",)} if story.name == "two" else {}
    words = {
        "hypothesis": "It overfits.",
        "falsifier": "No.",
        "intent": "exploit",
        "predicted": Predicted(0.2, 0.3, 0.4),
    }
    story.run(0.5, curve=falling(1.0, 0.7, 0.5))
    story.run(0.3, params={"optimizer": "sgd"}, source="llm", parent=0, **words)
    story.run("pruned:worse than the median", params={"optimizer.lr": 0.01}, curve=falling(2.0))
    story.run("boom", params={"optimizer.lr": 0.1}, stands_in_for="llm")
    story.run(0.35, source="replicate", parent=1, seed=7, params={"optimizer": "sgd"})
    lost = Rejection(Proposal({"optimizer.lr": 1e-3}, "Again.", "llm"), 2, "duplicate", "as trial 0")
    scene = replace(
        story.scene,
        consulted=(
            ASKED,
            Consultation("m", kind="resumed"),
            Consultation("m", seconds=1.0, retired=(1,), kind="transient"),
        ),
        rejected=(lost, replace(lost, rule="hopeless"), replace(lost, rule="crowded")),
        spent=Spent(3, 15, 0.25),
        retries={2: 1},
        used=Used(100.0, 0.5),
        config={"data": "digits"},
        importance={"optimizer": 0.7},
    )
    return scene, list(scene.trials)


def test_a_row_of_the_study_tells_how_it_goes(story: Story) -> None:
    """A row has the gain over trial 0, calibration, what the LLM has cost, and how trials and proposals have ended."""
    scene, trials = rich(story)
    values = progress_message(scene, trials[1])["values"]
    assert {key: values[key] for key in ("trial", "score", "best", "improvement", "failed", "surprise")} == {
        **{"trial": 1, "score": 0.3, "best": 0.3, "improvement": pytest.approx(0.2)},
        **{"failed": 0, "surprise": 0.0},
    }
    assert (values["calibration/coverage"], values["calibration/bias"], values["calibration/stated"]) == (1.0, 0.0, 1)
    assert (values["llm/calls"], values["llm/tokens"], values["llm/usd"], values["llm/seconds"]) == (3, 15, 0.25, 3.0)
    assert (values["llm/latency"], values["llm/fallbacks"], values["llm/complaints"]) == (1.5, 1, 2)
    assert values["llm/failed"] == 1
    assert [values[f"rejected/{rule}"] for rule in ("duplicate", "hopeless", "crowded")] == [1, 1, 1]
    assert (values["failures/exception"], values["retries"]) == (1, 1)
    assert (values["trials/complete"], values["trials/pruned"], values["trials/fail"]) == (3, 1, 1)
    assert (values["pruning/saved_steps"], values["pruning/of_steps"]) == (2, 6)
    assert (values["used/seconds"], values["used/gpu_hours"]) == (100.0, 0.5)


def test_an_unknown_price_is_left_out(story: Story) -> None:
    """Dollars that are not known are no zero."""
    scene, trials = rich(story)
    scene = replace(scene, spent=Spent(3, 15, None))
    assert "llm/usd" not in progress_message(scene, trials[1])["values"]


def test_a_higher_score_improves_where_it_is_maximised(story: Story) -> None:
    """The improvement over trial 0 is positive where the study got better, whatever its direction."""
    story.direction = "maximize"
    for n, value in enumerate((0.5, 0.4, 0.7)):
        trial = story.run(value, params={"optimizer.lr": 0.01 / (1 + n)})
    assert progress_message(story.scene, trial)["values"]["improvement"] == pytest.approx(0.2)


def test_the_end_tells_what_to_take_and_what_was_learnt(story: Story) -> None:
    """The summary has the recommendation, the comparison with trial 0, and the lessons that were not taken back."""
    scene, _ = rich(story)
    summary = finish_message(scene, "over", {})["summary"]
    assert summary["recommended_trial"] == 1
    assert summary["comparison"].startswith("better by")
    assert summary["lessons"] == ["SGD is slow."]


def test_the_table_says_what_was_expected_and_links_runs(tmp_path: Path) -> None:
    """A row has hypothesis, expectation, surprise, verdict and the run's page, or the id of the run that we made."""
    story = Story(tmp_path)
    scene, _ = rich(story)
    files = AttemptFiles(tmp_path / "1" / "neuropt", 1)
    files.folder.mkdir(parents=True)
    files.path.write_text("{}")
    record(files.runs_path, RunRecord("theirs", url="https://wandb.ai/me/p/runs/theirs"))
    scene = replace(scene, folders={1: files.folder})
    table = trials_table(scene, {3: "mine"})
    row = dict(zip(table["columns"], table["rows"][1], strict=True))
    assert (row["hypothesis"], row["expected_p10"], row["expected_p50"], row["expected_p90"]) == (
        *("It overfits.", 0.2),
        *(0.3, 0.4),
    )
    assert (row["surprise"], row["verdict"], row["intent"], row["parent"]) == (0.0, "as expected", "exploit", 0)
    assert row["run"] == "https://wandb.ai/me/p/runs/theirs"
    assert table["own"] == [run_id(scene, 0), "", run_id(scene, 2), "mine", run_id(scene, 4)]


def test_text_of_the_table_is_no_formula(story: Story) -> None:
    """What an LLM wrote does not become a formula in a spreadsheet, nor a second line."""
    story.run(0.5)
    story.run(0.4, rationale='=HYPERLINK("http://x")\n+1', hypothesis="@SUM(1)")
    table = trials_table(story.scene, {})
    row = dict(zip(table["columns"], table["rows"][1], strict=True))
    assert row["rationale"] == '\'=HYPERLINK("http://x") +1'
    assert row["hypothesis"] == "'@SUM(1)"


def test_prompts_leave_only_where_they_are_asked_for(story: Story) -> None:
    """None uploads nothing, summary numbers and words without prompt, reply or secret, full the transcript's file."""
    scene, _ = rich(story)
    assert transcript_plan(scene, "none") is None
    assert transcript_plan(story.scene, "full") is None  # Nobody was asked.
    plan = transcript_plan(scene, "summary", ("hunter2-is-long",))
    assert plan is not None
    text = json.dumps(plan)
    assert "The prompt." not in text
    assert "The reply." not in text
    assert "hunter2" not in text
    first = plan["entries"][0]
    assert (first["diagnosis"], first["learnt"]) == (
        "It overfits, says [redacted].",
        ["Decay helps.", "SGD is slow."],
    )
    assert first["usage"] == {"input_tokens": 10, "output_tokens": 5}
    assert len(plan["entries"]) == 2
    assert transcript_plan(scene, "full") == {
        "name": f"{run_id(scene)}-transcript",
        "path": "/sweep/neuropt/transcript.jsonl",
    }


def test_runs_of_a_lost_attempt_do_not_count(tmp_path: Path) -> None:
    """Of two attempts only the last one's runs get the outcome; the other's are closed and marked."""
    story = Story(tmp_path)
    for attempt in range(2):
        files = AttemptFiles(tmp_path / "neuropt", 0, attempt)
        files.folder.mkdir(exist_ok=True)
        files.path.write_text("{}")
        record(files.runs_path, RunRecord(f"run{attempt}", file="/f"))
    story.about = {"folders": {0: tmp_path / "neuropt"}}
    message = annotate_message(story.scene, story.run(0.5), "p", "me")
    assert message is not None
    lost, counted = message["runs"]
    assert (lost["run"], lost["exit_code"]) == ({"id": "run0", "project": "p", "entity": "me"}, 1)
    assert (lost["summary"], lost["absent"]) == ({"neuropt/state": "superseded"}, {})
    assert (counted["summary"]["neuropt/score"], counted["absent"], counted["exit_code"]) == (0.5, {"score": 0.5}, 0)


def test_what_an_llm_wrote_cannot_fetch_an_image(story: Story) -> None:
    """Pinned texts are shown as Markdown: links and images in them are plain text there, and in the notes."""
    trial = story.run(0.5, rationale="![x](http://evil)", hypothesis="<img src=x>", falsifier="[a](b)")
    run = trial_message(story.scene, trial, "p", None)["run"]
    for key in ("neuropt_rationale", "neuropt_hypothesis", "neuropt_falsifier"):
        assert not re.search(r"(?<!\\)[\[\]<>]", run["config"][key])
    assert not re.search(r"(?<!\\)[\[\]<>]", run["notes"])


def test_a_sweep_only_holds_the_runs_together(story: Story) -> None:
    """The native sweep's method is our own, on this side, so that nobody else proposes trials for it."""
    config = sweep_config(story.scene)
    assert (config["method"], config["controller"]) == ("custom", {"type": "local"})
    assert config["parameters"]["optimizer.lr"] == {
        **{"min": 1e-5, "max": 1e-1},
        "distribution": "log_uniform_values",
    }
    assert config["parameters"]["optimizer"] == {"values": ["adam", "sgd", "-1"]}
    assert config["metric"] == {"name": "score", "goal": "minimize"}


def flat(data: dict[str, Any], prefix: str = "") -> set[str]:
    """Returns the keys of nested data, joined by dots."""
    deeper = (
        flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"} for key, value in data.items()
    )
    return set().union(*deeper)


def told(story: Story) -> set[str]:
    """Returns all keys that W&B is told of, each with where it stands."""
    scene, trials = rich(story)
    broken = Outcome(TrialState.FAIL, failure=Failure("out_of_memory", "CUDA"))
    trials.append(Trial(5, trials[0].proposal, broken))
    keys: dict[str, set[str]] = {"trial config": set(), "trial summary": set(), "study history": set()}
    for trial in trials:
        message = trial_message(scene, trial, "p", None)
        config = {k: v for k, v in message["run"]["config"].items() if k.startswith("neuropt")}
        config["neuropt"].pop("freeze")  # A parameter of the study.
        keys["trial config"] |= flat(config)
        keys["trial summary"] |= set(message["summary"])
        keys["trial history"] = {"step", "neuropt/seconds"}
        keys["study history"] |= set(progress_message(scene, trial)["values"])
    keys["study history"] = {re.sub("^failures/.*", "failures/<kind>", key) for key in keys["study history"]}
    message = finish_message(scene, "over", {})
    keys["study summary"] = set(message["summary"])
    keys["table `trials`"] = set(message["table"]["columns"])
    keys["study config"] = flat({"neuropt": {**study_run(scene, "p", None)["config"]["neuropt"]}})
    return {f"{where}: {key}" for where, names in keys.items() for key in names}


def test_every_key_is_documented_and_none_besides() -> None:
    """docs/wandb_keys.md has one row for each key that W&B is told of, and no other."""
    rows = re.findall(
        r"^\| ([^|`]*(?:`trials`)?) \| `([^`]+)` \| (.+) \|$", KEYS.read_text(encoding="utf-8"), re.MULTILINE
    )
    written = {f"{where}: {key}" for where, key, _ in rows}
    optional = {key for (where, key, meaning) in rows if "only with" in meaning}
    named = {entry for entry in written if entry.split(": ", 1)[1] not in optional}
    found = told(Story(Path("/sweep")))
    assert found - written == set()
    assert named - found == set()
