"""The circuit breaker."""

from __future__ import annotations

from dataclasses import replace

from neuropt_core.advice import Consultation
from neuropt_core.llm.breaker import suspended_until, suspension


def _calls(*kinds: str) -> tuple[Consultation, ...]:
    return tuple(Consultation("m", number=number, kind=kind) for number, kind in enumerate(kinds, start=1))


def test_it_opens_after_three_failures_in_a_row() -> None:
    """Two failures are borne, the third suspends calls for four trials, and an answer begins a new count."""
    assert suspended_until(_calls("transient", "refused")) == 0
    assert suspended_until(_calls("transient", "refused", "bad output")) == 3 + 4
    assert suspended_until(_calls("transient", "refused", "answered", "transient")) == 0


def test_what_will_fail_again_opens_it_at_once() -> None:
    """A wrong key is not tried before every trial."""
    assert suspended_until(_calls("answered", "fatal")) == 2 + 4


def test_it_asks_again_and_waits_longer() -> None:
    """After the pause one call is made; if that fails too, the next pause is twice as long, up to a bound."""
    assert suspension(_calls("fatal"), number=4) != ""
    assert suspension(_calls("fatal"), number=5) == ""
    assert suspended_until(_calls("fatal", "fatal")) == 2 + 8
    assert suspended_until(_calls(*["transient"] * 40)) == 40 + 32


def test_notes_are_no_calls() -> None:
    """That calls are suspended is neither a failure nor an answer."""
    assert suspended_until(_calls("transient", "transient", "not asked", "transient", "not asked")) == 4 + 4


def test_a_resumed_study_asks_at_once() -> None:
    """Whoever begins again has perhaps mended the key."""
    assert suspended_until(_calls("fatal", "resumed")) == 0
    assert suspended_until(_calls("transient", "transient", "resumed", "transient")) == 0


def test_the_reason_says_when_and_why() -> None:
    """The words name the trial from which on the LLM is asked again, and how the last call failed."""
    assert suspension(_calls("fatal"), 2) == "left alone until trial 5 after a call that failed (fatal)"


def test_answers_without_a_legal_candidate_are_failures() -> None:
    """A model that answers, and never with anything legal, is left alone like one that is silent."""
    useless = tuple(replace(call, accepted=0) for call in _calls("answered", "answered", "answered"))
    assert suspended_until(useless) == 3 + 4
    assert suspension(useless, 4).endswith("(no legal candidate)")
    assert suspended_until((*useless[:2], replace(useless[2], accepted=1))) == 0
    assert suspended_until((*useless, *_calls("resumed"))) == 0
