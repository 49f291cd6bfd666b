"""Whether a key, a model and a server will work, and what a study would cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from neuropt_core.assemble import Rehearsal, llm_settings
from neuropt_core.cli._rehearsal import rehearsal
from neuropt_core.errors import ConfigError, LLMError
from neuropt_core.spending import Price, Spent, own_budget, own_price, price_of

_USUAL = {"input_tokens": 6_000, "output_tokens": 8_192}
# A prompt of a fine-tuning study after some ten trials (benchmarks/results/llm_cost.md), and the longest reply.
_USUAL_CARD = 3_500
"""Tokens of the prompt that asks for a space card, before any trial."""
_PROBE_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
_PROBE = (
    {"role": "system", "content": "Answer with JSON that follows the schema."},
    {"role": "user", "content": "Is the sum of one and one two?"},
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is checked.

    Attributes:
        llm: The settings under ``hydra.sweeper.llm``.
        n_trials: Trials of the study whose cost is estimated.
        prompt: The first call's messages; empty without a script.
        schema: The schema of its reply.
        input_tokens: About how many tokens the first call for candidates sends; None without a script.
        card_tokens: About how many the call for a space card sends, 0 where none is made; None without a script.
        worst: The most tokens that it can take.
    """

    llm: Mapping[str, Any]
    n_trials: int = 20
    prompt: tuple[Mapping[str, str], ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)
    input_tokens: int | None = None
    card_tokens: int | None = None
    worst: Mapping[str, int] = field(default_factory=dict)

    def prompt_lines(self) -> list[str]:
        """Returns the first call's prompt as it is sent, and the schema of its reply."""
        if not self.prompt:
            return ["No prompt: nobody would be asked."]
        parts = [line for m in self.prompt for line in (f"--- {m['role']}", m["content"])]
        return [*parts, "--- schema of the reply", json.dumps(self.schema, indent=1)]


def rehearsed(script: str, overrides: Sequence[str]) -> Asked:
    """Runs the script's sweep as a dry run in a child process and returns what it would ask.

    Raises:
        NeuroptError: The dry run fails; the text is its own.
    """
    data = rehearsal([script], overrides, script)
    return Asked(
        llm=data["llm"],
        n_trials=data["n_trials"],
        prompt=tuple(data["prompt"]),
        schema=data["schema"],
        input_tokens=data["input_tokens"] or None,
        card_tokens=data["card_tokens"] if data["input_tokens"] else None,
        worst=data["worst"],
    )


def check_lines(asked: Asked, environ: Mapping[str, str], *, call: bool = False) -> tuple[list[str], bool]:
    """Returns what was found, a line each, and whether it will work.

    Args:
        asked: What is checked.
        environ: Where the key is looked up, by name.
        call: Whether one small call is made, which costs less than a cent.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = llm_settings(asked.llm, environ)
    if settings is None:
        no = "No key: neither ANTHROPIC_API_KEY nor OPENAI_API_KEY is set, so the built-in prior, no LLM, would advise."
        return [no], False
    lines = [f"Asked: {settings.name}"]
    if settings.provider == "scripted":
        return [*lines, "A script answers: no key, no server, no cost."], True
    from neuropt_core.llm.client import make_client

    try:
        client: Any = make_client(settings, environ)
    except ConfigError as error:
        return [*lines, f"No: {error}"], False
    sdk = "anthropic" if settings.provider == "anthropic" else "openai"
    lines.append(f"SDK: {sdk} {metadata.version(sdk)}")
    lines.append(f"Key: {f'{settings.key_name} is set' if settings.key_name else 'none is sent'}")
    works = True
    try:
        found = client.look()
        lines += _server_lines(client.server, settings.asked_model, found)
        works = found.known is not False and found.structured is not False
        if settings.effort and found.efforts is not None and settings.effort not in found.efforts:
            lines.append(f"No: effort={settings.effort} is not among {', '.join(found.efforts) or 'none'}")
            works = False
        if call and works:
            done = client.complete(_PROBE, schema=_PROBE_SCHEMA)
            lines.append(f"Call: {done.model} answered {done.text.strip()[:60]} in {done.seconds:.1f} s")
    except LLMError as error:
        lines.append(f"No: {error}")
        works = False
    worst = asked.worst or {**_USUAL, "output_tokens": settings.max_tokens}
    price = own_price(asked.llm) or price_of(settings.asked_model)
    if refused := own_budget(asked.llm).refuses(Spent(), worst, price):
        lines.append(f"No: {refused} (hydra.sweeper.llm.budget)")
        works = False
    lines.append(_cost(asked, settings.asked_model, price))
    lines.append("It will work." if works else "It will not work: the prior would stand in for the LLM, visibly.")
    return lines, works


def _server_lines(server: str, model: str, found: Any) -> list[str]:
    told = f"Server: {server} answers"
    if found.known is None:
        return [f"{told}, and does not list its models: try --call"]
    if not found.known:
        shown = ", ".join(found.others[:8]) + (" ..." if len(found.others) > 8 else "")
        return [told, f"No: it has no model {model}; it has {shown}"]
    facts = [found.lifecycle] if found.lifecycle else []
    if found.structured is not None:
        facts.append("replies by schema" if found.structured else "no replies by schema")
    return [f"{told} and has {model}" + (f" ({'; '.join(facts)})" if facts else "")]


def _cost(asked: Asked, model: str, price: Price | None) -> str:
    known = {
        "input_tokens": asked.input_tokens or _USUAL["input_tokens"],
        "card_tokens": _USUAL_CARD if asked.card_tokens is None else asked.card_tokens,
        "worst": asked.worst or _USUAL,
    }
    rehearsal = Rehearsal((), model, price=price, **known)  # type: ignore[arg-type]
    told = rehearsal.cost(max(1, asked.n_trials - 1))
    return f"Cost of {asked.n_trials} trials: {told if asked.input_tokens else told.replace('first', 'usual')}"
