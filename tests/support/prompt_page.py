"""The prompts of docs/prompt.md, made by the code: `python tests/support/prompt_page.py` writes them anew.

`prompt_study.jsonl` beside this file is the journal of a real sweep of examples/finetune on digits (seven trials by the
built-in prior; launches, times and the config left out). The prompt is the one that an LLM would get after them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from neuropt_core.advice import Request
from neuropt_core.llm.card_prompt import card_messages
from neuropt_core.llm.prompt import messages
from neuropt_core.llm.schema import reply_schema
from neuropt_core.replay import replayed

PAGE = Path(__file__).parents[2] / "docs" / "prompt.md"
STUDY = Path(__file__).with_name("prompt_study.jsonl")
BEGINNINGS = {
    "rules": ("You advise", "Rules:"),
    "reading": ("How to read",),
    "score": ("The score", "Each trial"),
    "space": ("Search space",),
    "model": ("The model:",),
    "known": ("Fine-tuning",),
    "task": ("The task",),
    "history": ("Trials so far", "Trials (number"),
    "failures": ("Failures",),
    "parameters": ("Parameters one by one",),
    "record": ("Record of",),
    "curves": ("Curves point by point",),
    "question": ("Budget:",),
}
"""Part of the page -> how its paragraphs begin."""

_PART = re.compile(r"(<!-- part: (\w+) -->\n+ *```\w+\n).*?(\n```)", re.DOTALL)


def request(after: int | None = None) -> Request:
    """Returns what an LLM would be asked next in that study, of 20 trials.

    Args:
        after: How many trials have been made; None is all of them.
    """
    records = [json.loads(line) for line in STUDY.read_text().splitlines()]
    state = replayed([r for r in records if after is None or r.get("number", -1) < after], STUDY.name)
    trials = tuple(state.in_order)
    return Request(state.spec, trials, number=len(trials), count=3, n_trials=20, least=1)


def parts() -> dict[str, str]:
    """Returns part -> its text: every paragraph of both messages, the reply's schema, and the question for the card.

    Raises:
        ValueError: A paragraph belongs to no part, so that the page would not show the whole prompt.
    """
    asked = request()
    found: dict[str, list[str]] = {}
    for message in messages(asked):
        for paragraph in message["content"].split("\n\n"):
            fitting = [part for part, words in BEGINNINGS.items() if paragraph.startswith(words)]
            if len(fitting) != 1:
                raise ValueError(f"no part of docs/prompt.md begins like this: {paragraph[:80]!r}")
            found.setdefault(fitting[0], []).append(paragraph)
    whole = {part: "\n\n".join(paragraphs) for part, paragraphs in found.items()}
    whole["schema"] = json.dumps(reply_schema(asked.space), indent=2, ensure_ascii=False)
    whole["card"] = card_messages(request(after=0))[-1]["content"]
    return whole


def page() -> str:
    """Returns docs/prompt.md with the prompts of today's code."""
    texts = parts()
    return _PART.sub(lambda match: f"{match[1]}{texts[match[2]]}{match[3]}", PAGE.read_text())


def shown() -> list[str]:
    """Returns the parts that the page shows."""
    return [match[2] for match in _PART.finditer(PAGE.read_text())]


if __name__ == "__main__":
    PAGE.write_text(page())
