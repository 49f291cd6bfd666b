"""The example for models on one's own machine: each server's config, against a server on loopback with its manners.

The servers themselves, and models to fill them, cannot be had where the tests run. All of ours is real, and so are the
SDK and the wire; the bodies are those of the servers' documentation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from llm_server import ALWAYS, LLMServer, Received, Step, any_legal_reply, envelope
from omegaconf import OmegaConf
from sweeps import CANARY, sources, sweep

from neuropt_core.cli.check import Asked, check_lines

_ROOT = Path(__file__).parents[2]
TRAIN = _ROOT / "examples" / "local_llm" / "train.py"
_LONGEST_PROMPT = 8_000
"""Tokens; neuropt_core/llm/prompt.py."""


@dataclass(frozen=True)
class Manners:
    """How a server speaks.

    Attributes:
        port: Where it listens by default.
        body: Adds to a chat completion what the server adds.
        refuses: What it says, with status 400, to a shape that it does not know; None obeys both.
    """

    port: int
    body: Callable[[dict[str, Any]], dict[str, Any]]
    refuses: dict[str, Any] | None = None


def _usage(body: dict[str, Any]) -> dict[str, int]:
    return {key: body["usage"][key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")}


def _ollama(body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": body["choices"][0]["message"]["content"]}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {**body, "choices": choices, "usage": _usage(body), "system_fingerprint": "fp_ollama"}


def _vllm(body: dict[str, Any]) -> dict[str, Any]:
    message = {**body["choices"][0]["message"], "reasoning_content": None, "tool_calls": [], "annotations": None}
    choice = {**body["choices"][0], "message": message, "logprobs": None, "stop_reason": None, "token_ids": None}
    usage = {**_usage(body), "prompt_tokens_details": None}
    return {**body, "choices": [choice], "usage": usage, "prompt_logprobs": None, "kv_transfer_params": None}


def _llama_cpp(body: dict[str, Any]) -> dict[str, Any]:
    timings = {"prompt_n": 100, "prompt_ms": 52.1, "predicted_n": 20, "predicted_per_second": 41.0}
    return {**body, "usage": _usage(body), "system_fingerprint": "b6700-0123abcd", "timings": timings}


def _lm_studio(body: dict[str, Any]) -> dict[str, Any]:
    message = {**body["choices"][0]["message"], "tool_calls": []}
    choices = [{**body["choices"][0], "message": message, "logprobs": None}]
    return {**body, "choices": choices, "usage": _usage(body), "stats": {}, "system_fingerprint": body["model"]}


MANNERS = {
    "ollama": Manners(11434, _ollama),
    "vllm": Manners(8000, _vllm),
    "llama_cpp": Manners(8080, _llama_cpp),
    "lm_studio": Manners(1234, _lm_studio, {"error": "'response_format.type' must be 'json_schema' or 'text'"}),
}


def _reply(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"answer": "yes"} if "answer" in schema["properties"] else any_legal_reply(messages, schema)


class Server(LLMServer):
    """A loopback server with the manners of one of them, that has one model."""

    def __init__(self, manners: Manners, model: str) -> None:
        super().__init__(_reply)
        self._manners, self._model = manners, model

    def answer(self, received: Received) -> Step:
        """Lists the model, refuses what the server refuses, and wraps a reply as the server does."""
        if received.path == "/v1/models":
            self.requests.append(received)
            return Step(
                body={"object": "list", "data": [{"id": self._model, "object": "model", "owned_by": "library"}]}
            )
        step = super().answer(received)
        shape = received.body.get("response_format", {}).get("type")
        if received.body.get("model") != self._model:
            return Step(status=404, body={"error": {"message": f"model '{received.body.get('model')}' not found"}})
        if self._manners.refuses and shape not in ("json_schema", "text"):
            return Step(status=400, body=self._manners.refuses)
        return Step(body=self._manners.body(envelope(received.path, step.text, model=self._model)))


def _composed(name: str, url: str) -> dict[str, Any]:
    """What Hydra makes of the example's config with a server's file and another port."""
    with initialize_config_dir(str(_ROOT / "conf"), version_base="1.3"):
        words = [f"server={name}", f"hydra.sweeper.llm.base_url={url}"]
        cfg = compose("local_llm", overrides=words, return_hydra_config=True)
    settings: dict[str, Any] = OmegaConf.to_container(cfg.hydra.sweeper.llm)  # type: ignore[assignment]
    return settings


def _written(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((_ROOT / "conf" / "server" / f"{name}.yaml").read_text())
    return settings


@pytest.mark.parametrize("name", MANNERS)
def test_each_servers_config_fits_the_server(name: str) -> None:
    """With a server's file, but for the port, `neuropt check --call` finds the model and has it obey a schema."""
    written = _written(name)
    assert written["base_url"] == f"http://localhost:{MANNERS[name].port}/v1"
    with Server(MANNERS[name], written["model"]) as server:
        asked = Asked(_composed(name, server.base_url("openai_compatible")), n_trials=12)
        lines, works = check_lines(asked, {"OPENAI_API_KEY": CANARY}, call=True)
        sent = [r for r in server.requests if r.path == "/v1/chat/completions"]
    assert works, lines
    assert f"and has {written['model']}" in "\n".join(lines)
    assert f'Call: {written["model"]} answered {{"answer": "yes"}}' in "\n".join(lines)
    assert [r.body["response_format"]["type"] for r in sent] == ["json_schema"]
    assert CANARY not in json.dumps([dict(r.headers) for r in server.requests])


@pytest.mark.parametrize("name", MANNERS)
def test_the_context_that_a_config_names_holds_prompt_and_reply(name: str) -> None:
    """The 16,384 tokens that a file tells its server to take hold the longest prompt and the longest reply."""
    assert "16384" in (_ROOT / "conf" / "server" / f"{name}.yaml").read_text()
    assert _LONGEST_PROMPT + _written(name)["max_tokens"] <= 16384


@pytest.mark.slow
def test_the_model_advises_the_sweep(tmp_path: Path) -> None:
    """The example's own command, but for the port: the model proposes every trial but the first, one request each."""
    with Server(MANNERS["lm_studio"], _written("lm_studio")["model"]) as server:
        url = f"hydra.sweeper.llm.base_url={server.base_url('openai_compatible')}"
        words = ("server=lm_studio", url, "hydra.sweeper.n_trials=2", "epochs=1", *ALWAYS)
        done = sweep(tmp_path / "s", *words, script=TRAIN)
        asked = [r for r in server.requests if r.path == "/v1/chat/completions"]
    assert done.code == 0, done.stderr
    assert sources(done) == [("default", ""), ("llm", "")], done.stdout
    assert [r.body["response_format"]["type"] for r in asked] == ["json_schema"]
    assert "perceptron with one hidden layer" in json.dumps(asked[0].body["messages"])
    assert {outcome["state"] for outcome in done.told().values()} == {"COMPLETE"}
