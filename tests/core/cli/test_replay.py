"""`neuropt replay`: what it tells, checks and refuses."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path, PurePath

import pytest
from sink_scenes import BASE, SPACE, ended, falling
from typer.testing import CliRunner, Result

from neuropt_core import transcript
from neuropt_core.advice import Advice, Consultation, Lesson, Rejection
from neuropt_core.cli._standings import bars
from neuropt_core.cli._telling import paced, retold
from neuropt_core.cli.app import app
from neuropt_core.cli.replay import print_line
from neuropt_core.journal import PLACE, Journal
from neuropt_core.retold import scene_of
from neuropt_core.sinks.results import ResultsSink
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Failure, Outcome, Predicted, Proposal, TrialState

EVIL = "\x1b[31mred\x1b[0m \x1b]0;title\x07 [link](http://x) sk-abcdefghijklmnop1234"
ASKED = Consultation(
    "claude-haiku-5-5",
    prompt=({"role": "system", "content": "You tune.\nAlways JSON."}, {"role": "user", "content": EVIL}),
    reply='{"trials": []}',
    usage={"input_tokens": 1000, "output_tokens": 100},
    complaints=("optimizer.lr: expected a number",),
    number=1,
    diagnosis=f"It overfits. {EVIL}",
    learnt=(Lesson("Less is more.", (0,)),),
    key="k",
    accepted=1,
    place=0,
)
FOUND = Proposal(
    {**BASE, "optimizer.lr": 1e-4},
    f"Lower the rate. {EVIL}",
    "llm",
    predicted=Predicted(0.1, 0.2, 0.3),
    intent="exploit",
    parent=0,
    hypothesis="It is too high.",
    falsifier="A worse score.",
)


def replay(*arguments: object) -> Result:
    """Runs the command."""
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def begun(folder: Path) -> tuple[Study, Journal]:
    """A study in a sweep's folder, of which trial 0 has ended and trial 1 was found by an LLM and launched twice."""
    journal = Journal(folder / PLACE)
    study = Study(
        StudySpec("told", SPACE), journal, about={"n_trials": 3, "advisor": "claude", "command": "python t.py"}
    )
    study.ask(Proposal(BASE, "Your own.", "default"))
    study.launch(0, PurePath("0/neuropt"), [])
    study.tell(0, ended(0.5, curve=falling(1.0, 0.7, 0.5)))
    put_aside = Rejection(Proposal(BASE, "Again.", "llm"), 1, "duplicate", "It is trial 0.")
    study.consult(ASKED)
    study.note(Advice((), rejected=(put_aside,)))
    transcript.write(folder / "neuropt" / transcript.NAME, ASKED)
    study.ask(FOUND)
    study.launch(1, PurePath("1/neuropt"), ["optimizer.lr=0.0001"])
    lost = Outcome(TrialState.FAIL, failure=Failure("preempted", "the node went away"))
    study.retry(1, lost)
    study.launch(1, PurePath("1/neuropt"), ["optimizer.lr=0.0001"])
    return study, journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sweep that has ended: the LLM's trial is the best, and better than expected; one failed."""
    study, journal = begun(tmp_path)
    study.tell(1, ended(0.05, curve=falling(0.9, float("nan"), 0.05)))
    study.ask(Proposal({**BASE, "optimizer": "sgd"}, "Another.", "prior"))
    study.launch(2, PurePath("2/neuropt"), ["optimizer=sgd"])
    study.tell(2, ended("it broke"))
    journal.close()
    ResultsSink(tmp_path).study_finished(scene_of(tmp_path), "all 3 trials are done")
    return tmp_path


def test_the_study_is_told_in_its_order(folder: Path) -> None:
    """Sessions, advice with its cost, asks, launches, retries, outcomes against expectation and new bests follow."""
    done = replay(folder)
    assert done.exit_code == 0, done.output
    marks = [
        "Study told: minimize the score over 3 parameters",
        "A sweeper began, up to 3 trials",
        "Trial 0 was proposed by default: your own configuration",
        "Trial 0 scored 0.5",
        "claude-haiku-5-5 was asked for trials from 1 on: answered; 1 of its proposals accepted",
        "1 LLM call, 1,100 tokens, $0.000",
        "Not used: optimizer.lr: expected a number",
        "Diagnosis: It overfits.",
        "Learnt: Less is more. (trials 0)",
        "Put aside (duplicate)",
        "Trial 1 was proposed by llm, to exploit: optimizer.lr=0.0001",
        '"Lower the rate. red',
        "Expects 0.1 to 0.3, most likely 0.2",
        "Trial 1 was launched in 1/neuropt",
        "Attempt 1 at trial 1 does not count: preempted: the node went away",
        "Trial 1 was launched again (attempt 2)",
        "Trial 1 scored 0.05",
        "better than expected: 0.1 to 0.3",
        "New best: 0.05",
        "Trial 2 FAIL after 12.0 s",
        "The study is ended: all 3 trials are done.",
        "hydra.sweeper.llm.mode=replay",
    ]
    places = [done.stdout.find(mark) for mark in marks]
    assert -1 not in places, [mark for mark, place in zip(marks, places, strict=True) if place < 0]
    assert places == sorted(places)


@pytest.mark.parametrize("options", [(), ("--trial", 1, "--prompt"), ("--json",), ("--trial", 1, "--json", "--prompt")])
def test_what_an_llm_wrote_is_harmless(folder: Path, options: tuple[object, ...]) -> None:
    """No escape sequence reaches the terminal, and what looks like a key is redacted."""
    done = replay(folder, *options)
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout
    assert "abcdefghijklmnop" not in done.stdout
    assert "red" in done.stdout


def test_one_trial_is_told_whole(folder: Path) -> None:
    """Its reasons, what was known then, the exchange, attempts, curve, outcome and command are there."""
    done = replay(folder, "--trial", 1, "--prompt")
    assert done.exit_code == 0, done.output
    for mark in (
        "Believed: It is too high.",
        "Would speak against it: A worse score.",
        "1 trial had ended, the best was trial 0 with 0.5",
        "Attempt 1 at trial 1 does not count",
        "val_loss: █x▁ 0.9 -> 0.05, 3 points",
        "now number 1 of 2 with a score",
        "better than expected",
        "python t.py optimizer.lr=0.0001",
        "--- system\nYou tune.\nAlways JSON.\n--- user",
        '--- reply\n{"trials": []}',
    ):
        assert mark in done.stdout, mark
    assert "It broke" not in done.stdout
    assert replay(folder, "--trial", 2, "--prompt").exit_code == 2


def test_it_ends_where_it_is_told_to(folder: Path) -> None:
    """With --to nothing is told that came after the outcome of that trial; a trial that is not there is refused."""
    done = replay(folder, "--to", 0)
    assert "Trial 0 scored 0.5" in done.stdout.splitlines()[-1]
    assert replay(folder, "--to", 9).exit_code == 2


def test_each_event_is_a_line_of_json(folder: Path) -> None:
    """With --json each line is an object with time, event and words."""
    told = [json.loads(line) for line in replay(folder, "--json").stdout.splitlines()]
    assert [e["trial"] for e in told if e["event"] == "tell"] == [0, 1, 2]
    assert {"time", "since", "event", "words", "details"} <= told[0].keys()
    assert [e["best"] for e in told if e["event"] == "tell" and "best" in e] == [True, True]


def test_a_sound_folder_is_sound(folder: Path) -> None:
    """--check finds nothing in what a sweep left, with exit code 0."""
    done = replay(folder, "--check")
    assert done.exit_code == 0, done.output
    assert "results.yaml and trials.csv agree with it" in done.stdout
    assert "Differs" not in done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("neuropt/journal.jsonl", '{"op": "ask", "number": 2', '{"op": ask', "line 13: is not JSON"),
        ("neuropt/journal.jsonl", '"value": 0.05', '"value": 0.06', "results.yaml: best_value differs"),
        ("neuropt/journal.jsonl", '"op": "launch", "number": 2', '"op": "launch", "number": 5', "was not asked"),
        ("results.yaml", "best_value: 0.05", "best_value: 0.04", "results.yaml: best_value differs"),
        ("trials.csv", "it broke", "it is whole", "trials.csv: trial 2 differs"),
        ("neuropt/transcript.jsonl", '"key": "k"', '"key": "l"', "holds no exchange for consultation 0"),
        ("neuropt/journal.jsonl", "}}\n", "}}\n{", ""),
    ],
)
def test_what_does_not_agree_is_named(folder: Path, file: str, old: str, new: str, told: str) -> None:
    """--check ends with exit code 1 and names a damaged line, a changed result and a lost exchange."""
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    done = replay(folder, "--check")
    assert done.exit_code == 1, done.output
    assert told in done.stdout


@pytest.mark.parametrize(
    "options", [("--trial", 1, "--follow"), ("--prompt",), ("--check", "--to", 1), ("--trial", 1, "--speed", 2)]
)
def test_options_that_do_not_go_together_are_refused(folder: Path, options: tuple[object, ...]) -> None:
    """They end with exit code 2 and a sentence."""
    done = replay(folder, *options)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert options[0] in done.stderr


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    """Telling and checking alike end with exit code 2."""
    assert replay(tmp_path).exit_code == 2
    assert replay(tmp_path / "absent", "--check").exit_code == 2
    assert replay(tmp_path, "--trial", 0).exit_code == 2


def test_a_running_study_is_followed_to_its_end(tmp_path: Path) -> None:
    """With --follow what is written meanwhile is told once each, and it ends when nobody works there any more."""
    study, journal = begun(tmp_path)
    told: list[str] = []
    began = threading.Event()

    def tail() -> None:
        for one in retold(tmp_path, follow=True):
            told.append(f"{one.event.op} {one.event.trial}")
            began.set()

    thread = threading.Thread(target=tail)
    thread.start()
    assert began.wait(30)
    study.tell(1, ended(0.05))
    study.ask(Proposal({**BASE, "optimizer": "sgd"}, "Another.", "prior"))
    journal.close()
    thread.join(30)
    assert not thread.is_alive()
    assert told == [f"{one.event.op} {one.event.trial}" for one in retold(tmp_path)]
    assert told[-2:] == ["tell 1", "ask 2"]


def test_the_rhythm_is_that_of_the_study(folder: Path) -> None:
    """With a speed each pause is the study's own divided by it, and none is long."""
    told = list(retold(folder))
    waits: list[float] = []
    spread = [type(one)(100.0 * place, 0.0, one.event) for place, one in enumerate(told)]
    assert list(paced(spread, 100.0, waits.append)) == spread
    assert waits == [1.0] * (len(told) - 1)
    waits.clear()
    assert list(paced(spread, 1.0, waits.append)) == spread
    assert set(waits) == {3.0}


def test_bars_show_a_curve() -> None:
    """The lowest value has the smallest bar, what is no number an x, and a long curve keeps its width and its ends."""
    assert bars([0.0, 7.0], 40) == "▁█"
    assert bars([1.0, 1.0], 40) == "▁▁"
    assert bars([float("nan"), float("inf")], 40) == "xx"
    long = bars([9.0, *[5.0] * 998, 1.0], 40)
    assert (len(long), long[0], long[-1]) == (40, "█", "▁")


def test_a_stream_that_has_no_sign_gets_another() -> None:
    """What an encoding cannot write is a question mark, and no error."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_line(stream, "val ▁█ é")
    assert raw.getvalue() == b"val ?? ?\n"
