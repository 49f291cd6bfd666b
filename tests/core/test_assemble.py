"""Settings become parts."""

from __future__ import annotations

import sys

import pytest

from neuropt_core.advisors.chance import RandomAdvisor
from neuropt_core.advisors.gate import Gate
from neuropt_core.assemble import make_advisor, make_trackers, make_wandb_sink
from neuropt_core.errors import ConfigError, MissingExtraError

KEY = {"ANTHROPIC_API_KEY": "test-key"}


def test_auto_takes_the_llm_exactly_when_a_key_is_set() -> None:
    """With a key there is an LLM before the search; without one the search advises, and says it is no LLM."""
    advised, prior = make_advisor("auto", {}, KEY), make_advisor("auto", {}, {})
    assert isinstance(advised, Gate)
    assert isinstance(prior, Gate)
    assert advised.adviser is not None
    assert prior.adviser is None
    assert "not an LLM" in prior.name
    assert "anthropic" in make_advisor("auto", {}, KEY).name


def test_the_other_names_mean_what_they_say() -> None:
    """Prior and random ignore a key; llm without one, and an unknown name, are refused."""
    assert "not an LLM" in make_advisor("prior", {}, KEY).name
    assert isinstance(make_advisor("random", {}, KEY), RandomAdvisor)
    with pytest.raises(ConfigError, match="neither ANTHROPIC_API_KEY nor OPENAI_API_KEY"):
        make_advisor("llm", {}, {})
    with pytest.raises(ConfigError, match="must be one of auto, llm, prior, random, got 'gpt'"):
        make_advisor("gpt", {}, {})
    with pytest.raises(ConfigError, match=r"needs hydra\.sweeper\.llm\.provider or base_url beside it"):
        make_advisor("auto", {"api_key_env": "MY_KEY"}, {"MY_KEY": "x"})


@pytest.mark.parametrize(
    ("llm", "environ", "name"),
    [
        ({"base_url": "http://localhost:8000/v1", "model": "m"}, KEY, "openai_compatible: m"),
        (
            {"base_url": "http://localhost:8000/v1", "model": "m", "api_key_env": "K"},
            {"K": "x"},
            "openai_compatible: m",
        ),
        ({"script": "llm_server.any_legal_reply", "base_url": "http://localhost:8000/v1"}, KEY, "scripted: llm_server"),
        ({"provider": "openai"}, {"OPENAI_API_KEY": "x", **KEY}, "openai: "),
        ({}, {"OPENAI_API_KEY": "x"}, "openai: "),
        ({"deadline": 5.0, "structured": "auto", "later": 1}, KEY, "anthropic: "),
    ],
)
def test_auto_finds_whom_to_ask(llm: dict[str, object], environ: dict[str, str], name: str) -> None:
    """A script goes before a server, a server before a key; a server that is named is asked by chat completions."""
    assert name in make_advisor("auto", llm, environ).name


def test_a_named_server_needs_its_model() -> None:
    """With a base_url alone nothing is guessed: the text names what is missing."""
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.llm\.model: must be given together with base_url"):
        make_advisor("auto", {"base_url": "http://localhost:8000/v1"}, KEY)


def test_a_missing_package_ends_llm_but_not_auto(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that is there for other tools does not stop a sweep; whoever asks for the LLM is told what to install.

    The package is hidden by a None in sys.modules, which is how Python marks a module that cannot be imported.
    """
    monkeypatch.setitem(sys.modules, "anthropic", None)
    monkeypatch.delitem(sys.modules, "neuropt_core.llm.anthropic", raising=False)
    assert "not an LLM" in make_advisor("auto", {}, KEY).name
    assert "the prior advises" in caplog.text
    for kind, llm in (("llm", {}), ("auto", {"provider": "anthropic"})):
        with pytest.raises(MissingExtraError, match=r"pip install 'hydra-neuropt-sweeper\[anthropic\]'"):
            make_advisor(kind, llm, KEY)


def test_wandb_may_be_off() -> None:
    """The mode disabled makes no sink, and a wrong setting is refused."""
    assert make_wandb_sink({"mode": "disabled"}, {}) is None
    assert make_wandb_sink({"mode": "offline"}, {}) is not None
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.wandb\.mode"):
        make_wandb_sink({"mode": "sideways"}, {})


def test_a_key_without_its_library_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where a key for W&B is set and wandb is not installed, auto goes on without it and says so."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert make_wandb_sink({"mode": "auto"}, {"WANDB_API_KEY": "k"}) is None
    assert "nothing goes to W&B: pip install" in caplog.text
    caplog.clear()
    assert make_wandb_sink({"mode": "auto"}, {}) is None
    assert caplog.text == ""


def test_trackers_are_made_as_asked() -> None:
    """Off by default; each by its own setting, and a wrong one is refused."""
    off = {"experiment": None, "tracking_uri": None}
    assert make_trackers(False, off, {}) == []
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    made = make_trackers(True, {"experiment": "e", "tracking_uri": None}, {})
    assert [type(sink).__name__ for sink in made] == ["TensorBoardSink", "MlflowSink"]
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.tensorboard: must be true or false"):
        make_trackers("on", off, {})


@pytest.mark.parametrize(
    ("llm", "words"),
    [
        ({"max_tokens": 3}, r"llm\.max_tokens: must be a whole number"),
        ({"effort": "lots"}, r"llm\.effort: must be null or one of"),
        ({"budget": {"calls": -1}}, r"llm\.budget\.calls: must be a number of 0 or more"),
        ({"price": {"input": 1.0}}, r"llm\.price: must also say output"),
        ({"transcript": "folder"}, r"llm\.transcript: is for mode=record and mode=replay"),
    ],
)
def test_wrong_settings_are_told_though_nobody_is_asked(llm: dict[str, object], words: str) -> None:
    """Without a key the prior advises, but a setting that no vendor's model could have is refused all the same."""
    with pytest.raises(ConfigError, match=words):
        make_advisor("auto", llm, {})
    assert make_advisor("auto", {"effort": "minimal"}, {}).name == make_advisor("prior", {}, {}).name
