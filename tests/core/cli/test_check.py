"""`neuropt check`: whether key, model and server will work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from llm_server import LLMServer, Step
from sweeps import BOWL, environment
from typer.testing import CliRunner, Result

from neuropt_core.cli.app import app

KEY = "a-key-that-nobody-may-see"
CLAUDE = {
    "id": "claude-haiku-5-5",
    "lifecycle": "active",
    "capabilities": {"structured_outputs": {"supported": True}, "effort": {"low": {"supported": True}}},
}
LISTED = {"data": [{"id": "gpt-6-luna"}, {"id": "other"}]}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, server or proxy of the machine reaches a test."""
    for name in list(__import__("os").environ):
        if name.upper().endswith("_PROXY") or name.startswith(("ANTHROPIC_", "OPENAI_")):
            monkeypatch.delenv(name)


def _check(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    done = CliRunner().invoke(app, ["check", *arguments], env=dict(env or {}))
    assert KEY not in done.output
    return done


def _asked(provider: Any, body: Any, *arguments: str, status: int = 200) -> tuple[Result, LLMServer]:
    with LLMServer([Step(status=status, body=body)]) as server:
        return _check("--provider", provider, *arguments, env=server.environ(provider, KEY)), server


def test_without_a_key_it_says_who_would_advise() -> None:
    """No key is no error of the command, but the LLM will not work: the exit code says so."""
    done = _check()
    assert done.exit_code == 1
    assert "the built-in prior, no LLM, would advise" in done.output


def test_a_known_model_will_work() -> None:
    """Key, server, model, what it can and the dated cost are told, without a call that costs anything."""
    done, server = _asked("anthropic", CLAUDE)
    assert done.exit_code == 0, done.output
    assert "has claude-haiku-5-5 (active; replies by schema)" in done.output
    assert "ANTHROPIC_API_KEY is set" in done.output
    assert "Cost of 20 trials: claude-haiku-5-5: the usual prompt" in done.output
    assert [r.path for r in server.requests] == ["/v1/models/claude-haiku-5-5"]


def test_a_model_that_the_server_lacks_will_not() -> None:
    """What the server has instead is listed."""
    done, _ = _asked("openai", LISTED, "--model", "gpt-7")
    assert done.exit_code == 1
    assert "it has no model gpt-7; it has gpt-6-luna, other" in done.output
    assert "its price is not known" in done.output


def test_a_model_without_schemas_will_not() -> None:
    """Replies that cannot be held to a schema are no basis for a sweep."""
    body = {**CLAUDE, "capabilities": {"structured_outputs": {"supported": False}}}
    done, _ = _asked("anthropic", body)
    assert done.exit_code == 1
    assert "no replies by schema" in done.output


@pytest.mark.parametrize(("status", "words"), [(401, "does not accept the key"), (404, "knows no such model")])
def test_a_refusal_is_told_in_a_sentence(status: int, words: str) -> None:
    """What the server refuses is told with what can be done."""
    done, _ = _asked("anthropic", {"error": {"message": f"bad {KEY}"}}, status=status)
    assert done.exit_code == 1
    assert words in done.output


def test_a_server_without_a_list_may_work() -> None:
    """A compatible server that does not list its models is asked by a call, if that is wanted."""
    with LLMServer([Step(status=404, body={}), Step(text='{"answer": "yes"}')]) as server:
        url = server.environ("openai", KEY)["OPENAI_BASE_URL"]
        done = _check("--base-url", url, "--model", "tiny", "--call")
    assert done.exit_code == 0, done.output
    assert "does not list its models" in done.output
    assert "none is sent" in done.output
    assert 'answered {"answer": "yes"}' in done.output


def test_a_wrong_setting_is_a_wrong_command() -> None:
    """A setting that cannot be is one sentence and the exit code of a wrong command."""
    done = _check("--provider", "nobody")
    assert done.exit_code == 2
    assert "hydra.sweeper.llm.provider: must be one of" in done.output
    assert _check("--show-prompt").exit_code == 2


def test_the_prompt_of_a_script_is_shown_as_it_is_sent(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a script its own settings are taken, the first prompt is printed whole, and nothing is launched."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with LLMServer([Step(body=CLAUDE)]) as server:
        env = server.environ("anthropic", KEY)
        done = _check("--show-prompt", str(BOWL), "hydra.sweeper.n_trials=7", env=env)
    assert done.exit_code == 0, done.output
    assert "Cost of 7 trials: claude-haiku-5-5: the first prompt" in done.output
    assert "--- system\nYou advise a search" in done.output
    assert "optimizer.lr" in done.output
    schema = json.loads(done.output.split("--- schema of the reply")[1])
    assert "portfolio" in schema["properties"]
    assert "the space card and 6 calls of that size cost" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_script_that_fails_says_why(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dry run's own sentence is passed on."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    done = _check(str(BOWL), "hydra.sweeper.n_trials=0")
    assert done.exit_code == 2
    assert "hydra.sweeper.n_trials: must be at least 1" in done.output


def test_an_override_that_is_refused_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra's first line, which names the key, is passed on with the others."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    done = _check(str(BOWL), "foo=1")
    assert done.exit_code == 2
    assert "Could not override 'foo'" in done.output
    assert "HYDRA_FULL_ERROR" not in done.output


def test_a_budget_that_forbids_the_first_call_will_not_work(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cap below the worst case of one call means that the LLM is never asked: that is told before the sweep."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with LLMServer([Step(body=CLAUDE)]) as server:
        done = _check(str(BOWL), "hydra.sweeper.llm.budget.usd=0.001", env=server.environ("anthropic", KEY))
    assert done.exit_code == 1, done.output
    assert "No: the first call could pass the cap of $0.001" in done.output
    assert "It will not work" in done.output
