"""`ArchSearch` with an LLM: what it is asked, and what is kept of its words; a loopback server is the vendor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest
from llm_server import LLMServer, any_legal_reply

from neuropt_core import ArchSearch
from neuropt_core.errors import ConfigError

SPACE = {"lr": (1e-5, 1e-1), "activation": ["relu", "gelu"]}
ALWAYS = {"warmup": 1, "least_share": 1.0, "most_share": 1.0, "slate": 1, "distance": 0.0, "veto": False}
"""The LLM proposes every trial but the first."""


def _train(config: dict[str, Any]) -> dict[str, Any]:
    return {"score": config["lr"], "val_losses": [0.731, 0.642, config["lr"]], "f1_macro": 0.5}


def _search(folder: Path, backend: Any, **options: Any) -> ArchSearch:
    return ArchSearch(_train, SPACE, backend=backend, log_path=folder / "search.jsonl", gate=ALWAYS, **options)


def test_the_prompt_holds_the_curves_and_the_reasons_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claude reads the task and the returned curves; its rationale is in the log, the report and the transcript."""
    with LLMServer(any_legal_reply) as server:
        for name, value in server.environ("anthropic").items():
            monkeypatch.setenv(name, value)
        search = _search(tmp_path, "claude", ml_context="Toy pictures of ants.")
        search.run(max_evals=3)
        asked = "\n".join(m["content"] for m in server.requests[-1].messages)
    assert "Toy pictures of ants." in asked
    for words in ("val_losses", "0.731", 'measured "f1_macro"=0.5'):
        assert words in asked
    lines = [json.loads(line) for line in (tmp_path / "search.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == ["prior", "llm", "llm"]
    assert lines[1]["rationale"].startswith("Scripted candidate 1")
    assert (search.llm_success, search.llm_fallback) == (2, 0)
    assert "Scripted candidate 1" in (search.folder / "report.html").read_text()
    assert (search.folder / "neuropt" / "transcript.jsonl").stat().st_size > 0


def test_a_client_is_a_backend(tmp_path: Path) -> None:
    """An SDK's client, one of ours, and one that only generates text, as the original's do, can each advise."""
    with LLMServer(any_legal_reply) as server:
        client = anthropic.Anthropic(api_key="test-key", base_url=server.origin)
        search = _search(tmp_path / "sdk", client, model="claude-haiku-5-5")
        search.run(max_evals=2)
        assert search.trials[1].proposal.source == "llm"
        assert "test-key" in str(server.requests[0].headers)

    class Generates:
        name = "old backend"

        def generate(self, prompt: str, max_tokens: int) -> str:
            schema = json.loads(prompt.rpartition("with nothing else:\n")[2])
            return json.dumps(any_legal_reply([{"role": "user", "content": prompt}], schema))

    old = _search(tmp_path / "old", Generates())
    old.run(max_evals=2)
    assert old.trials[1].proposal.source == "llm"

    class Broken:
        name = "broken"

        def generate(self, prompt: str, max_tokens: int) -> str:
            raise OSError("no socket")

    broken = _search(tmp_path / "broken", Broken())
    broken.run(max_evals=3)
    assert broken.total_experiments == 3  # The built-in search stands in, and says so.
    assert broken.llm_fallback > 0
    assert broken.trials[1].proposal.source != "llm"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"llm": {"modle": "x"}}, "llm: must be a dictionary with some of provider, model.*got 'modle'"),
        ({"llm": {"budget": {"usd": -1}}}, r"llm\.budget\.usd: must be a number of 0 or more.*got -1"),
        ({"llm": {"deadline": -3}}, r"llm\.deadline: must be a number of seconds above 0"),
        ({"llm": {"mode": "recrod"}}, r"llm\.mode: must be one of live, record, replay"),
        ({"backend": "claude", "llm": {"provider": "openai"}}, r'llm\.provider: is for backend="auto" alone'),
        ({"api_key_env": "MINE"}, 'api_key_env: needs backend or base_url.*Set backend="claude" or backend="openai"'),
    ],
)
def test_wrong_settings_are_told_without_a_key(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """What would be wrong once a key is there is one sentence now, in the words of the Python API."""
    with pytest.raises(ConfigError, match=words):
        _search(tmp_path, **{"backend": "auto", **options}).run(max_evals=1)
