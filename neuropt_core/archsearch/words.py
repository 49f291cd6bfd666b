"""What the engine says in the words of Hydra's settings, in the words of `ArchSearch`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from neuropt_core.errors import NeuroptError

_WORDS = (
    (r"hydra\.sweeper\.resume=force", "force=True"),
    (r"hydra\.sweeper\.space=seed", 'space="seed"'),
    (r"hydra\.sweeper\.pretrained", "the argument pretrained"),
    (r"hydra\.sweeper\.advisor", "backend"),
    (r"advisor=prior", 'backend="none"'),
    (r"provider=openai_compatible", 'backend="local"'),
    (r"hydra\.sweeper\.llm\.(model|base_url|api_key_env)\b", r"\1"),
    (r"hydra\.sweeper\.llm\.provider=(\w+)", r"backend \1"),
    (r"hydra\.sweeper\.llm\.provider", "backend"),
    (r"\bprovider=anthropic\b", 'backend="claude"'),
    (r"\bprovider=openai\b", 'backend="openai"'),
    (r"hydra\.sweeper\.llm", "llm"),
    (r"hydra\.sweeper\.(\w+)=", r"\1="),
    (r"hydra\.sweeper\.", ""),
    (r"the hydra\.sweep\.dir of a sweep that neuropt ran", "the folder of a sweep"),
    (r"hydra\.sweep\.dir", "log_path"),
    (r"is this sweep's own folder", "is this search's own study"),
    (r"The same command goes on with a sweep", "The same call goes on with a search"),
    (r"another sweeper", "another search"),
    (r"the task function", "train_fn"),
    (r"without --multirun ", ""),
    (r"\+?\+?\bneuropt\.(?=[a-z])", ""),
)
"""Pattern -> what stands in its place, tried in this order."""


def own_words(text: str) -> str:
    """Returns a sentence of the engine's as a user of the Python API has to read it."""
    for pattern, instead in _WORDS:
        text = re.sub(pattern, instead, text)
    return text


@contextmanager
def in_own_words() -> Iterator[None]:
    """Raises the engine's errors again, as the same kind, in the words of `ArchSearch`."""
    try:
        yield
    except NeuroptError as error:
        where, rule, mend = map(own_words, (error.where, error.rule, error.mend))
        kind = type(error)
        silent = str(kind(error.where, error.rule, mend=error.mend)) == str(error)
        raise (kind(where, rule, mend=mend) if silent else kind(where, rule, mend=mend, got=error.got)) from error
