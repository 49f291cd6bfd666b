"""The transcript: every exchange with an LLM, whole, one JSON line each; what a study is replayed from."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.errors import StudyError
from neuropt_core.files import read_lines

NAME = "transcript.jsonl"
_BUDGET = re.compile(r"Budget: \d+ of \d+ trials are left\. ")
"""The sentence of the prompt that says how large the study is."""

_SHOWN = 120


def without_budget(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Returns a prompt without the size of the study, so that a longer study replays a shorter one's exchanges."""
    return [{**message, "content": _BUDGET.sub("", message["content"])} for message in messages]


def call_key(name: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> str:
    """Returns a hash of what is asked and whom: equal calls have equal keys, on every machine.

    How many trials are left is no part of it (`without_budget`).

    Args:
        name: Provider and model, as the client shows them.
        messages: The prompt.
        schema: The reply's JSON schema.
    """
    asked = {"name": name, "messages": without_budget(messages), "schema": dict(schema)}
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def write(path: Path, consultation: Consultation) -> None:
    """Appends an exchange; the file is its owner's alone to read (mode 0600), since it holds whole prompts.

    Raises:
        OSError: The disk is full or the file is not writable.
    """
    prompt = [dict(message) for message in consultation.prompt]
    entry = {**consultation.to_json(), "prompt": prompt, "reply": consultation.reply}
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


class Replies:
    """The exchanges of a transcript, found by what was asked.

    Args:
        path: The transcript, or the folder of the sweep that left it.

    Raises:
        StudyError: There is none, or it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / "neuropt" / NAME if path.is_dir() else path
        try:
            lines, _ = read_lines(self.path)
        except OSError as error:
            where = "hydra.sweeper.llm.transcript"
            raise StudyError(where, f"cannot be read ({error.strerror})", got=str(self.path)) from None
        except ValueError as error:
            raise StudyError(str(error), mend="Take out what is no line of a transcript.") from None
        held: list[Consultation] = []
        for line in lines:
            kept = _whole(Consultation.from_json(line), line)
            # A sweep that was killed before an exchange was in its journal has asked again from that place on.
            held = [c for c in held if not 0 <= kept.place <= c.place]
            held.append(kept)
        self._held = tuple(held)

    def find(self, key: str, before: int) -> Consultation | None:
        """Returns the exchange of a call, or None.

        Args:
            key: Of the call.
            before: How often the same was asked before in this study: a server may answer the second time.
        """
        kept = [c for c in self._held if c.key == key and c.is_call]
        return kept[before] if before < len(kept) else None

    def resumed(self, place: int, number: int) -> bool:
        """Tells whether the study was resumed after so many consultations, before trial `number` was asked for."""
        return any(c.kind == "resumed" and c.place == place and c.number <= number for c in self._held)

    def writes_cards(self, otherwise: bool) -> bool:
        """Tells whether the study that left it asked for a space card; `otherwise` where it holds no call at all."""
        calls = [c for c in self._held if c.is_call]
        return any(c.purpose == "card" for c in calls) if calls else otherwise

    def card_follows(self, place: int) -> bool:
        """Tells whether a space card was asked for after so many consultations."""
        return any(c.is_call and c.purpose == "card" and c.place == place for c in self._held)

    def difference(self, number: int, prompt: Sequence[Mapping[str, str]], purpose: str = "trials") -> str:
        """Returns in words how a call for trial `number` differs from the one that is held for it."""
        alike = (c for c in reversed(self._held) if c.number == number and c.is_call and c.purpose == purpose)
        kept = next(alike, None)
        if kept is None:
            return "it holds none for this trial"
        lines = (_lines(side) for side in (kept.prompt, prompt))
        for was, now in zip_longest(*lines, fillvalue=""):
            if was != now:
                return f"the prompt that it holds says {was[:_SHOWN]!r} where this one says {now[:_SHOWN]!r}"
        return "its prompt is the same, so the provider, the model or the reply's schema is another one"


def _lines(prompt: Sequence[Mapping[str, str]]) -> list[str]:
    return [line for message in without_budget(prompt) for line in message["content"].splitlines() if line]


def _whole(kept: Consultation, line: Mapping[str, Any]) -> Consultation:
    return replace(kept, prompt=tuple(line["prompt"]), reply=line["reply"])
