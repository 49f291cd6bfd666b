"""What a person watches while the study runs."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from sink_scenes import Story, ended
from terminal import Screen, terminal

from neuropt_core.advice import Consultation
from neuropt_core.sinks._lines import outcome_lines, where_lines
from neuropt_core.sinks.console import ConsoleSink

EVIL = "Look\x1b]0;owned\x07 [bold red]here[/] \x1b[2J\u202e:smile: [link=http://x]y[/link]. More."


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A study of six trials."""
    return Story(tmp_path / "sweep")


def shown(story: Story, *values: float | str, finish: str = "") -> list[str]:
    """Returns the plain lines of a study whose trials have these outcomes."""
    stream = io.StringIO()
    sink = ConsoleSink(stream)
    sink.study_started(story.scene)
    for number, value in enumerate(values):
        story.run(value, sink, {"optimizer.lr": 1e-3 / (number + 1)} if number else None)
    if finish:
        sink.study_finished(story.scene, finish)
    return stream.getvalue().splitlines()


def before_the_end(output: str) -> str:
    """Returns a terminal's output up to where the bar is taken away."""
    return output[: output.rindex("\x1b7", 0, output.rindex("\x1b[r"))]


def test_each_trial_is_one_line(story: Story) -> None:
    """A line holds the count, number, score, its standing, seconds, source, changes and the reason's first sentence."""
    stream = io.StringIO()
    sink = ConsoleSink(stream)
    story.run(0.432, sink)
    params = {"optimizer.lr": 3e-4, "neuropt.freeze": True}
    story.run(0.312, sink, params, rationale="Lower the rate. And more.", stands_in_for="llm", seconds=61.2)
    assert stream.getvalue().splitlines() == [
        "[1/6] trial 0  0.432  your own configuration  12.0 s",
        "[2/6] trial 1  0.312  best (-0.12 vs trial 0)  1 min 01 s  prior (standing in for llm)  "
        'optimizer.lr=0.0003, neuropt.freeze=true  "Lower the rate."',
    ]


def test_a_score_stands_against_the_best_and_trial_0(story: Story) -> None:
    """A trial that is not the best is measured against both; against trial 0 alone if that is the best."""
    lines = shown(story, 0.4, 0.5, 0.3, 0.35)
    assert "  0.5  +0.1 vs trial 0  " in lines[1]
    assert "  0.35  -0.05 vs trial 0, +0.05 vs best of trial 2  " in lines[3]


def test_without_a_baseline_there_is_nothing_to_compare(story: Story) -> None:
    """If trial 0 failed, the first score is the best and no difference is made up."""
    assert "  0.4  best  " in shown(story, "boom", 0.4)[1]


def test_failed_and_pruned_trials_say_why(story: Story) -> None:
    """A trial without a score shows its reason in its place; of a failure also what the study makes of it."""
    lines = shown(story, "CUDA out\nof memory", "pruned:val_loss is nan at step 3")
    assert "FAILED (exception: CUDA out of memory)  told as a broken constraint" in lines[0]
    assert "pruned (val_loss is nan at step 3)" in lines[1]


def test_the_summary_tells_the_winner(story: Story) -> None:
    """At the end: the best against trial 0, the top three and trial 0, the files and the command."""
    text = "\n".join(shown(story, 0.432, 0.312, 0.4, 0.5, 0.3, finish="all done"))
    assert "Study story ended: all done. Trials: 5 with a score." in text
    assert "Best: trial 4 with 0.3, better by 0.132 (30.6 %) than your own configuration (0.432)." in text
    numbers = [line.split()[0] for line in text.splitlines() if re.match(r"\s+\d+ ", line)]
    assert numbers == ["4", "1", "2", "0"]
    assert f"Results: {story.folder}/results.yaml and trials.csv" in text
    assert "Run the best once: python train.py optimizer=adam optimizer.lr=0.0002 neuropt.freeze=False" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0.4, 0.5), "Nothing beat your own configuration: trial 0 with 0.4 is the best."),
        ((0.4,), "Nothing beat your own configuration: trial 0 with 0.4 is the best."),
        (("boom", "boom"), "No trial has a score."),
        ((), "No trial has a score."),
        (("boom", 0.4), "Best: trial 1 with 0.4; it cannot be compared: trial 0, your own configuration, has no"),
    ],
)
def test_the_summary_is_honest(story: Story, values: tuple[float | str, ...], words: str) -> None:
    """When nothing beat trial 0, or nothing can be said, the summary says so."""
    assert any(line.startswith(words) for line in shown(story, *values, finish="all done"))


def test_the_summary_recommends_what_noise_allows(story: Story) -> None:
    """With repeated runs the end names the recommended configuration, its error and its ties, and its command."""
    story.run(0.50)
    story.run(0.30, params={"optimizer": "sgd"})
    story.run(0.34, params={"optimizer": "sgd"}, source="replicate", parent=1)
    story.run(0.29, params={"optimizer": "-1"})
    scene = replace(story.scene, retries={2: 2})
    first, last = outcome_lines(scene, "it is over"), where_lines(scene)
    assert first[1] == "Launched again since a machine was at fault: 2 times."
    assert first[2].startswith("Recommended: trial 1, run 2 times, mean 0.3")
    assert "a tie with trial 3" in first[2]
    assert first[3].startswith("It is better by 0.1")
    assert "optimizer=sgd" in last[-1]


def test_a_reason_that_is_a_sentence_has_one_full_stop(story: Story) -> None:
    """An error's own full stop is not doubled."""
    (line,) = [text for text in shown(story, 0.4, finish="it ended with X: set a=false.") if "ended" in text]
    assert "a=false. Trials: 1 with a score." in line


def test_a_resumed_study_says_where_it_stands(story: Story) -> None:
    """A study that has trials already begins with their number and the best score."""
    story.run(0.4)
    assert shown(story)[0] == "Resuming study story: 1 of 6 trials done, best 0.4 (trial 0)"


def test_complaints_about_a_reply_are_shown(story: Story) -> None:
    """When an LLM's reply could not be used, the person sees why."""
    stream = io.StringIO()
    ConsoleSink(stream).consulted(story.scene, Consultation("model-x", (), complaints=("lr: too\nhigh", "wd: too low")))
    assert stream.getvalue() == "model-x: lr: too high (and 1 more)\n"


def test_the_log_file_is_plain_and_unwrapped(story: Story, tmp_path: Path) -> None:
    """On a narrow coloured terminal the log file still has whole lines without escape sequences, and is appended to."""
    log = tmp_path / "new" / "neuropt.log"
    with terminal(columns=40) as (stream, output):
        sink = ConsoleSink(stream, log)
        sink.say("Introspected:\n  Head: fc")
        sink.study_started(story.scene)
        story.run(0.4, sink)
        story.run(0.3, sink, {"optimizer": "sgd", "optimizer.lr": 0.05}, rationale="word " * 30)
        sink.study_finished(story.scene, "all done")
    ConsoleSink(io.StringIO(), log).say("again")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["Introspected:", "  Head: fc"]
    assert lines[-1] == "again"
    assert "\x1b" not in log.read_text(encoding="utf-8")
    assert max(map(len, lines)) > 150
    screen = Screen(40, 24).feed(output[0])
    assert max(map(len, screen.text)) <= 40
    assert screen.strange == []


def test_a_pipe_gets_no_escape_sequences(story: Story) -> None:
    """Where the stream is no terminal there are plain lines only, even with FORCE_COLOR."""
    read, write = os.pipe()
    with os.fdopen(read) as source, os.fdopen(write, "w") as stream:
        sink = ConsoleSink(stream)
        sink.study_started(story.scene)
        story.run(0.4, sink)
        sink.study_finished(story.scene, "all done")
        stream.close()
        assert "\x1b" not in source.read()


@pytest.mark.parametrize("tty", [True, False])
def test_untrusted_text_commands_nothing(story: Story, tty: bool) -> None:
    """Escape sequences, markup and direction marks in names, reasons and rationales are shown as text or not at all."""
    story.name, story.command = f"study {EVIL}", f"python {EVIL}"
    with terminal(columns=200, lines=40) as (stream, output):
        target = stream if tty else io.StringIO()
        sink = ConsoleSink(target)
        sink.say(EVIL)
        sink.study_started(story.scene)
        story.run(0.4, sink, rationale=EVIL)
        story.run(0.3, sink, {"optimizer": EVIL}, rationale=EVIL)
        story.run(EVIL, sink, {"optimizer": EVIL}, rationale=EVIL)
        sink.study_finished(story.scene, EVIL)
        plain = "" if tty else target.getvalue()
    text = output[0] if tty else plain
    assert "owned" not in text
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert "\u202e" not in text
    assert "[bold red]here[/]" in text
    assert ":smile:" in text


def test_others_may_print_beside_the_bar(story: Story) -> None:
    """What this process, a logging handler, a child process or a progress meter writes never shares the bar's row."""
    with terminal(columns=90, lines=12) as (stream, output):
        sink = ConsoleSink(stream, clock=lambda: 0.0)
        handler = logging.StreamHandler(stream)
        sink.study_started(story.scene)
        for number in range(6):
            story.ask(sink, {"optimizer.lr": 0.01} if number else None)
            stream.write("epoch 0\n")
            handler.emit(logging.LogRecord("job", logging.INFO, "", 0, "val_loss 0.3", None, None))
            stream.write("\r50 %")
            stream.write("\r100 %\n")
            subprocess.run(["echo", "from a child"], stdout=stream, check=True)
            story.tell(ended(0.5 - number / 100), sink)
        middle = Screen(90, 12)
        sink.study_finished(story.scene, "all done")
    whole = output[0]
    middle.feed(before_the_end(whole))
    assert (middle.top, middle.bottom) == (0, 10)
    assert re.match(r"━+\s+6/6  best 0.45 \(trial 5\)  0 s$", middle.rows[-1].rstrip())
    expected = ["epoch 0", "val_loss 0.3", "100 %", "from a child"]
    for number in range(6):
        at = next(i for i, row in enumerate(middle.text) if row.startswith(f"[{number + 1}/6] trial {number}"))
        assert middle.text[at - 4 : at] == expected
    final = Screen(90, 12).feed(whole)
    assert (final.top, final.bottom) == (0, 11)
    assert not any("━" in row for row in final.text)


def test_the_bar_tells_time_left_and_what_runs(story: Story) -> None:
    """The bar has done and total, the best, the running trials, the time elapsed, and once it can be told, left."""
    now = [100.0]
    with terminal() as (stream, output):
        sink = ConsoleSink(stream, clock=lambda: now[0])
        sink.study_started(story.scene)
        story.run(0.4, sink)
        now[0] += 30
        story.ask(sink, {"optimizer.lr": 0.01})
        story.ask(sink, {"optimizer.lr": 0.02})
        sink.study_finished(story.scene, "interrupted")
    assert "1/6  best 0.4 (trial 0)  running: 1, 2  30 s  about 2 min 30 s left" in output[0]


@pytest.mark.parametrize("columns", [20, 40, 58])
def test_the_bar_fits_a_narrow_terminal(story: Story, columns: int) -> None:
    """What does not fit into the bar's row is cut with an ellipsis, so that it never runs into other rows."""
    with terminal(columns=columns, lines=30) as (stream, output):
        sink = ConsoleSink(stream)
        sink.study_started(story.scene)
        story.run(0.4, sink)
        story.ask(sink, {"optimizer.lr": 0.01})
        sink.study_finished(story.scene, "interrupted")
    screen = Screen(columns, 30).feed(before_the_end(output[0]))
    assert screen.rows[-1].startswith("━")
    assert screen.rows[-1].endswith("…")
    assert len(screen.rows[-1]) < columns
    assert sum("━" in row for row in screen.text) == 1


def test_a_terminal_too_small_gets_no_bar(story: Story) -> None:
    """On three rows, or as TERM=dumb, no row is given away."""
    with terminal(lines=3) as (stream, output):
        sink = ConsoleSink(stream)
        sink.study_started(story.scene)
        story.run(0.4, sink)
        sink.study_finished(story.scene, "all done")
    assert re.search(r"\x1b\[\d*;?\d*r", output[0]) is None


def test_a_terminal_without_a_size_counts_as_80_columns(story: Story) -> None:
    """A pseudo terminal that says 0 x 0, as some containers' do, gets lines of ordinary length and no bar."""
    with terminal(columns=0, lines=0) as (stream, output):
        sink = ConsoleSink(stream)
        sink.study_started(story.scene)
        sink.say("word " * 30)
        assert sink._row is not None
        sink._row.close()
    assert 60 < max(map(len, output[0].splitlines())) <= 80
    assert "\x1b7" not in output[0]


def test_a_dumb_terminal_gets_plain_lines(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TERM=dumb there are no escape sequences at all."""
    monkeypatch.setenv("TERM", "dumb")
    with terminal() as (stream, output):
        sink = ConsoleSink(stream)
        sink.study_started(story.scene)
        story.run(0.4, sink)
        sink.study_finished(story.scene, "all done")
    assert "\x1b" not in output[0]


def test_an_ascii_stream_is_no_obstacle(story: Story) -> None:
    """A stream that cannot encode a character gets a question mark in its place."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    ConsoleSink(stream).say("größer …")
    assert stream.buffer.getvalue() == b"gr??er ?\n"


def test_the_log_gets_the_line_when_the_stream_is_gone(story: Story, tmp_path: Path) -> None:
    """If the reader of a pipe has left, the log file still has the line."""
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w")
    with pytest.raises(BrokenPipeError):
        ConsoleSink(stream, tmp_path / "log").say("kept")
    with pytest.raises(BrokenPipeError):
        stream.close()
    assert (tmp_path / "log").read_text() == "kept\n"


def test_a_pipe_that_nobody_reads_does_not_hold_up_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody takes is in the log alone, the sink goes on at once, and says later how much is missing."""
    monkeypatch.setattr("neuropt_core.sinks.console._PATIENCE", 0.1)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as stream:
        sink = ConsoleSink(stream, tmp_path / "log")
        for _ in range(100):
            sink.say("x" * 5000)
        taken = len(os.read(reader, 1 << 20))
        assert taken < 100 * 5001
        sink.say("there again")
        assert os.read(reader, 1 << 20).decode() == (
            f"({100 * 5001 - taken} characters were not shown here)\nthere again\n"
        )
    os.close(reader)
    assert (tmp_path / "log").read_text().count("x" * 5000) == 100


def test_the_bar_tells_for_how_long_trials_run(story: Story) -> None:
    """Minutes stand beside a trial that runs for one or more; one in a queue, or just begun, has none."""
    for number in range(4):
        story.ask(params={"optimizer.lr": 1e-4 * (number + 1)} if number else None)
    sink = ConsoleSink(io.StringIO(), clock=lambda: 10_000.0)
    running = {0: 10_000.0 - 7500, 1: 10_000.0 - 725, 2: 9_990.0, 3: None}
    status = sink._status(replace(story.scene, running=running, stopping="it was interrupted"))
    assert "ending  running: 0 (2 h 05 min), 1 (12 min), 2, 3" in status
