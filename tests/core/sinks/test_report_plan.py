"""What the report in W&B says, as plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from notebook_scenes import rich
from sink_scenes import BASE, Story, ended

from neuropt_core.advice import Consultation, Lesson
from neuropt_core.sinks._report_plan import report_plan
from neuropt_core.sinks._report_trials import SHOWN
from neuropt_core.sinks._wandb_payload import run_id
from neuropt_core.sinks.base import Scene
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.tracking import RunRecord, record
from neuropt_core.trial import Outcome, Proposal, Trial, TrialState

SECTIONS = (
    *("Question and setup", "Outcome", "Best score so far", "Curves of the best trials", "All trials at a glance"),
    *("What mattered", "Expected against actual", "What was learnt", "The reasoning, trial by trial"),
    *("Failures and early stops", "Cost"),
)
NASTY = "[a](http://evil.example/x) ![i](http://evil.example/y.png) <b> | `c` \x1b[31m # sk-canary-0123456789abcdef"


def plan_of(scene: Scene, **more: Any) -> dict[str, Any]:
    """Returns a plan for a project of somebody."""
    return report_plan(scene, **{"project": "p", "entity": "me", "draft": True, **more})


def every(blocks: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields all blocks, folded ones included."""
    for block in blocks:
        yield block
        yield from every(block.get("inside", []))


def texts(value: Any) -> Iterator[str]:
    """Yields all strings in plain data."""
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from texts(item)


def section(plan: Mapping[str, Any], title: str) -> list[Mapping[str, Any]]:
    """Returns the blocks between a section's heading and the next one's."""
    titles = [n for n, b in enumerate(plan["blocks"]) if b["kind"] == "heading" and b["level"] == 2]
    start = next(n for n in titles if plan["blocks"][n]["text"] == title)
    after = [n for n in titles if n > start]
    return plan["blocks"][start + 1 : after[0] if after else None]


def words_of(plan: Mapping[str, Any], title: str) -> str:
    """Returns all words of a section."""
    return "\n".join(texts(section(plan, title)))


def panels(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the grids of charts."""
    return [block for block in every(plan["blocks"]) if block["kind"] == "panels"]


def test_a_rich_study_fills_every_section(tmp_path: Path) -> None:
    """All that an LLM thought, what happened, and whether it was right stands in its section, as plain JSON."""
    plan = plan_of(rich(tmp_path))
    assert json.loads(json.dumps(plan, allow_nan=False)) == plan
    assert [b["text"] for b in plan["blocks"] if b["kind"] == "heading" and b["level"] == 2] == list(SECTIONS)
    expected = {
        "Question and setup": ("Aim: minimize", "Since the gradient is small.", "15 trials, 1 h, 2 GPU-hours", "1e-05"),
        "Outcome": (
            "Better by",
            "Best: trial 3",
            "trial 0, 0.5",
            "standard deviation",
            "optimizer=sgd optimizer.lr=",
        ),
        "What mattered": ("70 %", "PED-ANOVA"),
        "Expected against actual": ("of 5 scores lay within", "too optimistic by", "worse than expected"),
        "What was learnt": ("words of the LLM (claude-haiku-5-5)", "For: trials 0, 3", "Before trial 1"),
        "The reasoning, trial by trial": ("Hypothesis: Since", "It would be refuted by", "building on trial 0"),
        "Failures and early stops": ("exception", "1 trials were stopped early", "Launched again", "2 times"),
        "Cost": (
            "2 LLM calls, 240 tokens, $0.0001",
            "gave nothing to go on with: 1",
            "0.25 GPU-hours",
            "have saved 1 of",
        ),
    }
    for title, parts in expected.items():
        said = words_of(plan, title)
        assert [part for part in parts if part not in said] == [], title
    assert "Gone." not in json.dumps(plan), "a lesson that was taken back is told"


def test_each_trial_folds_away_its_reasoning(tmp_path: Path) -> None:
    """There is a folded heading for each trial, with its number, its score and the verdict."""
    folded = [b for b in section(plan_of(rich(tmp_path)), "The reasoning, trial by trial") if "inside" in b]
    assert len(folded) == 10
    assert folded[0]["text"] == "Trial 0: 0.5"
    assert folded[1]["text"] == "Trial 1: FAIL"
    assert folded[3]["text"] == "Trial 3: 0.4 (as expected)"
    assert "replicate of trial 3" in json.dumps(folded[4])
    assert "it has not ended" in json.dumps(folded[9])
    assert "standing in for llm" in json.dumps(folded[9])


def test_charts_show_the_runs_of_the_study(tmp_path: Path) -> None:
    """Runs are found by group and type; a parameter beside its own children lies where the run's config has it."""
    scene = rich(tmp_path)
    grids = panels(plan_of(scene))
    kinds = [grid["panels"][0]["kind"] for grid in grids]
    assert kinds == ["line", "line", "parallel", "importance", "scatter"]
    assert grids[0]["runsets"][0] == {
        **{"name": "study", "project": "p", "entity": "me", "group": "story", "job_type": "controller"}
    }
    assert grids[1]["panels"][0]["y"] == ["val_loss"]
    best = [3, 4, 5, 6, 7, 0, 8]
    assert grids[1]["runsets"][0]["ids"] == [run_id(scene, number) for number in best]
    trials = grids[2]["runsets"][0]
    assert (trials["group"], trials["not_job_types"], trials["ascending"]) == ("story", ["controller", "aside"], True)
    columns = {c["title"]: (c["value"], c["log"]) for c in grids[2]["panels"][0]["columns"]}
    assert columns["optimizer"] == ("config:optimizer._self_", False)
    assert columns["optimizer.lr"] == ("config:optimizer.lr", True)
    assert list(columns)[-1] == "score"


def test_runs_that_scripts_keep_elsewhere_are_found_by_their_ids(tmp_path: Path) -> None:
    """A script's own run in another project gets a runset there; one in another group of this project one here."""
    scene = replace(rich(tmp_path), folders={3: tmp_path / "3", 5: tmp_path / "5"})
    for number, project in ((3, "theirs"), (5, "p")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "ticket.json").write_text("{}")
        record(tmp_path / str(number) / "runs.jsonl", RunRecord(f"own{number}", project, "team"))
    curves, parallel = panels(plan_of(scene))[1:3]
    assert curves["panels"][0]["x"] == "Step"
    assert "own5" in curves["runsets"][0]["ids"]
    assert [(r["project"], r["entity"], r["ids"]) for r in curves["runsets"][1:]] == [("theirs", "team", ["own3"])]
    assert parallel["runsets"][1]["ids"] == ["own5"]
    assert parallel["runsets"][1]["not_group"] == "story"
    assert parallel["runsets"][2]["ids"] == ["own3"]


@pytest.mark.parametrize("trials", [100, 1000])
def test_a_long_study_is_told_in_part(tmp_path: Path, trials: int) -> None:
    """However long study and texts, the plan stays below 300 kB and says what it leaves out, and where that is."""
    plan = plan_of(rich(tmp_path, trials, "Since the gradient is small, a larger rate should help. " * 100))
    assert len(json.dumps(plan)) < 300_000
    folded = [b for b in section(plan, "The reasoning, trial by trial") if "inside" in b]
    assert len(folded) == SHOWN
    assert folded[0]["text"].startswith("Trial 0")
    assert folded[-1]["text"].startswith(f"Trial {trials - 1}:")
    assert "[...]" in json.dumps(folded[1])
    said = words_of(plan, "The reasoning, trial by trial")
    assert ("trials.csv has all" in said) == (trials > SHOWN)
    assert "trials are shown; trials.csv" in words_of(plan, "Expected against actual")


def test_what_an_llm_wrote_is_plain_text_without_secrets(tmp_path: Path) -> None:
    """Escape sequences and keys are gone, no text spans lines, and none stands in a title, a heading or a chart."""
    scene = rich(tmp_path, words=f"{NASTY}\n# Heading\n| a | b |")
    plan = plan_of(scene)
    assert "sk-canary" not in json.dumps(plan)
    assert "\x1b" not in "".join(texts(plan))
    own = [b for b in every(plan["blocks"]) if b["kind"] != "code"]
    assert [text for text in texts(own) if "\n" in text] == []
    heads = [b["text"] for b in every(plan["blocks"]) if b["kind"] == "heading"]
    assert "evil" not in json.dumps([heads, panels(plan), plan["title"], plan["description"]])


def test_a_long_name_makes_no_long_title(tmp_path: Path) -> None:
    """W&B refuses titles of more than 128 characters; a name is cut, and its control characters go."""
    plan = plan_of(rich(tmp_path, name="a\x1b[31mb\u202e" + "n" * 500))
    assert len(plan["title"]) <= 128
    assert plan["title"].startswith("ab")
    assert plan["title"].endswith("a neuropt study")


def test_a_study_without_a_trial_has_a_report() -> None:
    """Before the first trial every section says that there is nothing yet."""
    plan = plan_of(Story(Path("/nowhere")).scene)
    assert [b["text"] for b in plan["blocks"] if b["kind"] == "heading"] == list(SECTIONS)
    assert "No trial has a score yet." in words_of(plan, "Outcome")
    assert "No trial has been asked yet." in words_of(plan, "The reasoning, trial by trial")
    assert "No LLM has advised" in words_of(plan, "What was learnt")
    assert "No trial failed." in words_of(plan, "Failures and early stops")


def test_several_objectives_are_told_apart(tmp_path: Path) -> None:
    """With several objectives both directions, all scores and the Pareto front are told."""
    story = Story(tmp_path, more={"further": ("maximize",)})
    for value, other in ((0.5, 90.0), (0.4, 80.0)):
        story.ask(params={"optimizer.lr": value / 100})
        story.tell(Outcome(TrialState.COMPLETE, value, further=(other,)))
    plan = plan_of(story.scene)
    assert "minimize and maximize" in words_of(plan, "Question and setup")
    assert "Pareto front" in words_of(plan, "Outcome")
    assert "Trial 1: 0.4 / 80" in json.dumps(plan)


def test_of_many_parameters_those_that_mattered_are_drawn(tmp_path: Path) -> None:
    """Parallel coordinates hold 16 parameters, the important ones among them, and say that there are more."""
    space = SearchSpace(tuple(Float(name=f"p{n}", low=0.0, high=1.0) for n in range(40)))
    params = {f"p{n}": 0.5 for n in range(40)}
    trial = Trial(0, Proposal(params, "Because.", "random"), ended(0.5))
    scene = Scene(StudySpec("s", space), (trial,), 1, tmp_path, importance={"p39": 0.9})
    blocks = section(plan_of(scene), "All trials at a glance")
    titles = [c["title"] for c in blocks[0]["panels"][0]["columns"]]
    assert len(titles) == 17
    assert "p39" in titles
    assert blocks[1]["text"].startswith("16 of 40 parameters")


def test_lessons_beyond_the_latest_are_counted(tmp_path: Path) -> None:
    """Of many lessons the latest are shown, and the number of the others is told."""
    learnt = tuple(Lesson(f"Lesson {n}.") for n in range(25))
    scene = replace(Story(tmp_path).scene, consulted=(Consultation("m", learnt=learnt),))
    said = words_of(plan_of(scene), "What was learnt")
    assert "Lesson 24." in said
    assert "Lesson 4." not in said
    assert "5 earlier lessons" in said


def test_overrides_are_shown_where_they_are_known(tmp_path: Path) -> None:
    """Of an older journal the overrides are not known; the command line itself never leaves the machine."""
    assert "train.py" not in json.dumps(plan_of(rich(tmp_path)))
    scene = replace(rich(tmp_path), overrides={})
    assert [b for b in section(plan_of(scene), "Outcome") if b["kind"] == "code"] == []
    assert BASE["optimizer"] in words_of(plan_of(scene), "Question and setup")
