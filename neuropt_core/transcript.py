"""The transcript: every exchange with an LLM, whole, one JSON line each; what a study is replayed from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.errors import StudyError
from neuropt_core.files import read_lines

NAME = "transcript.jsonl"


def call_key(name: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> str:
    """Returns a hash of what is asked and whom: equal calls have equal keys, on every machine.

    Args:
        name: Provider and model, as the client shows them.
        messages: The prompt.
        schema: The reply's JSON schema.
    """
    asked = {"name": name, "messages": [dict(message) for message in messages], "schema": dict(schema)}
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
        self._found: dict[str, list[Consultation]] = {}
        for line in lines:
            kept = Consultation.from_json(line)
            self._found.setdefault(kept.key, []).append(_whole(kept, line))

    def find(self, key: str, before: int) -> Consultation | None:
        """Returns the exchange of a call, or None.

        Args:
            key: Of the call.
            before: How often the same was asked before in this study: a server may answer the second time.
        """
        kept = self._found.get(key, [])
        return kept[before] if before < len(kept) else None


def _whole(kept: Consultation, line: Mapping[str, Any]) -> Consultation:
    return replace(kept, prompt=tuple(line["prompt"]), reply=line["reply"])
