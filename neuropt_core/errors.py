"""The tree of errors: one class for each decision that a catcher can take.

NeuroptError
├── ConfigError            a setting is wrong; nothing has been launched; the user mends it
│   └── MissingExtraError  an optional dependency is not installed
├── IntrospectionError     the configured model could not be built or looked into
├── StudyError             the study on disk cannot be used as asked (damaged, other space, in use)
│   └── NoScoreError       the study ran, and no trial got a score
├── LLMError               one consultation failed
│   ├── LLMFatal           it will fail again (no key, unknown model, no quota)
│   ├── LLMTransient       it may succeed later (rate limit, overload, network, deadline)
│   ├── LLMBadOutput       the reply cannot be read
│   └── LLMRefused         the model declined
└── TrialPruned            raised in a job that was told to stop; the sweep understands it
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_NOTHING: Any = object()


class NeuroptError(Exception):
    """Says where, which rule, what it got, and how to mend it, in one sentence or two.

    Args:
        where: The setting, file or step concerned, e.g. ``hydra.sweeper.n_trials``.
        rule: What must hold there, e.g. ``must be at least 1``.
        got: The offending value; left out of the text when not given.
        mend: What the reader can do about it.
    """

    def __init__(self, where: str, rule: str = "", *, got: object = _NOTHING, mend: str = "") -> None:
        super().__init__(where, rule)
        self.where, self.rule, self.got, self.mend = where, rule, got, mend

    def __str__(self) -> str:
        text = f"{self.where}: {self.rule}" if self.rule else self.where
        if self.got is not _NOTHING:
            text += f", got {self.got!r}"
        return f"{text}. {self.mend}" if self.mend else text

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments are lost by Exception's own pickling, and errors travel between processes.
        got = () if self.got is _NOTHING else (self.got,)
        return _rebuild, (type(self), self.where, self.rule, self.mend, *got)


def _rebuild(kind: type[NeuroptError], where: str, rule: str, mend: str, *got: object) -> NeuroptError:
    return kind(where, rule, mend=mend, got=got[0]) if got else kind(where, rule, mend=mend)


class ConfigError(NeuroptError, ValueError):
    """A setting is wrong; raised before anything is launched."""


class MissingExtraError(ConfigError):
    """An optional dependency is not installed; the text holds the command that installs it."""


class IntrospectionError(NeuroptError):
    """The configured model could not be built or looked into."""


class StudyError(NeuroptError):
    """The study on disk cannot be used as asked."""


class NoScoreError(StudyError):
    """The study ran, and no trial got a score; the text says why the first one got none."""


class LLMError(NeuroptError):
    """One consultation of an LLM failed.

    Attributes:
        usage: What is known of its cost, as in a consultation.
    """

    usage: Mapping[str, int] = MappingProxyType({})


class LLMFatal(LLMError):
    """It will fail again until the user changes something (key, model, quota)."""


class LLMTransient(LLMError):
    """It may succeed later (rate limit, overload, network, deadline)."""


class LLMBadOutput(LLMError):
    """The reply cannot be read as the answer that was asked for."""


class LLMRefused(LLMError):
    """The model declined to answer."""


class TrialPruned(NeuroptError):
    """Raised by `report` in a job whose trial should stop; training code lets it pass.

    The first argument is the reason, e.g. ``val_loss is nan at step 3``.
    """
