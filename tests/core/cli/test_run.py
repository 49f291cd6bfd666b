"""`neuropt run` on a plain script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from neuropt_core.cli.app import app

SCRIPT = """
ml_context = "A toy."
minimize = False
search_space = {"x": (0.0, 1.0)}

def train_fn(config):
    return {"score": config["x"], "device": config.get("device", "none")}
"""


def _run(script: Path, *options: str) -> Result:
    log = str(script.parent / "log.jsonl")
    return CliRunner().invoke(app, ["run", str(script), "--backend", "none", "--log", log, *options])


def test_a_script_is_searched_and_gone_on_with(tmp_path: Path) -> None:
    """What the script defines is taken, options are handed on, and the same command with more trials goes on."""
    script = tmp_path / "toy_train.py"
    script.write_text(SCRIPT)
    done = _run(script, "-n", "2", "--device", "cpu", "-b", "2", "--timeout", "1h")
    assert done.exit_code == 0, done.output
    done = _run(script, "-n", "3", "--device", "cpu")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["scalars"] for line in lines] == [{"device": "cpu"}] * 3
    best = max(lines, key=lambda line: line["score"])
    assert f"train_fn(search.config({best['trial']}))" in done.output
    done = _run(script, "-n", "2", "--log", str(tmp_path / "next.jsonl"), "--warm-start", str(tmp_path / "log.jsonl"))
    assert "Warm start: 3 trials of log, best" in done.output


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", 2, "must define train_fn"),
        ("def train_fn(c): return 1.0", 2, "must define search_space, or a model"),
        ("import nowhere_at_all", 2, "cannot be loaded"),
        ("x = 1\n1 / 0", 2, "cannot be loaded (ZeroDivisionError in line 2: division by zero)"),
        ("import sys\nsys.exit()", 2, "ends itself while it is loaded"),
        ("def train_fn(c): return {}\nsearch_space = {'x': (0.0, 1.0)}", 2, "'score'"),
        ("def train_fn(c): 1 / 0\nsearch_space = {'x': (0.0, 1.0)}", 1, "no trial got a score"),
    ],
)
def test_a_wrong_script_is_a_sentence_and_an_exit_code(tmp_path: Path, text: str, code: int, words: str) -> None:
    """A script without its definitions, and one whose trials all fail, end with different codes."""
    script = tmp_path / "toy_train.py"
    script.write_text(text)
    done = _run(script, "-n", "2")
    assert (done.exit_code, words in done.output) == (code, True), done.output
    assert _run(tmp_path / "absent.py").exit_code == 2


def test_the_other_commands_know_a_search_in_python(tmp_path: Path) -> None:
    """`replay`, `report`, `stop` and `export` take the log, find the files sound, and send nobody to a shell."""
    script, log = tmp_path / "toy_train.py", str(tmp_path / "log.jsonl")
    script.write_text(SCRIPT)
    assert _run(script, "-n", "2").exit_code == 0

    def said(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*arguments])
        return done.exit_code, done.output

    assert said("replay", log, "--check")[0] == 0
    assert "Trial 0 was proposed by prior: your own configuration" in said("replay", log)[1]
    assert "  train_fn(search.config(1))" in said("replay", log, "--trial", "1")[1]
    assert said("report", log) == (0, f"Written: {tmp_path / 'log.neuropt' / 'report.html'}\n")
    assert said("stop", log)[0] == 1
    code, words = said("export", log)
    assert (code, "there is no Hydra config to write" in words) == (2, True)
    assert "x=" in said("export", log, "--overrides")[1]
