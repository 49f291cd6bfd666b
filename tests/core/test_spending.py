"""What an LLM costs: counts, dated prices, hard caps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from neuropt_core.advice import Consultation
from neuropt_core.errors import ConfigError
from neuropt_core.spending import Budget, Price, Spent, own_price, price_of, spent

USAGE = {"input_tokens": 1_000_000, "output_tokens": 100_000}


def _call(model: str = "claude-haiku-5-5", kind: str = "answered", **usage: int) -> Consultation:
    return Consultation(model, usage=usage, kind=kind)


def test_a_price_counts_cached_tokens_apart() -> None:
    """A million tokens in, a tenth of them cached, and a tenth of a million out cost what the list says."""
    price = Price(input=1.0, output=5.0, cache_read=0.1)
    assert price.of({**USAGE, "cached_tokens": 100_000}) == pytest.approx(0.9 * 1.0 + 0.1 * 0.1 + 0.1 * 5.0)
    assert Price(1.0, 5.0).of({**USAGE, "cached_tokens": 100_000}) == pytest.approx(1.0 + 0.5)


def test_unknown_tokens_have_no_price() -> None:
    """Without a count of tokens there is no cost, which is not a cost of nothing."""
    assert Price(1.0, 5.0).of({"input_tokens": 5}) is None


@pytest.mark.parametrize("name", ["claude-haiku-5-5", "claude-haiku-5-5-20261007", "claude-haiku-5-5@2026-10-07"])
def test_dated_names_have_the_price_of_the_model(name: str) -> None:
    """Vendors answer with a dated name of the model that was asked."""
    assert price_of(name) == Price(0.10, 0.50, 0.01)


def test_an_unknown_model_has_no_price() -> None:
    """A model that is not in the list has no price, and a study that used it no sum."""
    assert price_of("my-local-model") is None
    assert spent([_call(**USAGE), _call("my-local-model", **USAGE)]).usd is None
    assert spent([_call("my-local-model", **USAGE)], own=Price(1.0, 0.0)).usd == pytest.approx(1.0)


def test_a_reply_by_another_name_has_the_price_of_what_was_asked() -> None:
    """An alias that a server answers with has no price of its own; one that has a price keeps it."""
    alias, dear = _call("claude-haiku-latest", **USAGE), _call("claude-haiku-4-5", **USAGE)
    assert spent([replace(alias, asked="claude-haiku-5-5")]).usd == pytest.approx(0.15)
    assert spent([replace(dear, asked="claude-haiku-5-5")]).usd == pytest.approx(1.5)


def test_every_call_is_charged() -> None:
    """Refusals and unreadable replies are charged like answers; what was no call is not even counted."""
    calls = [
        _call(**USAGE),
        _call(kind="refused", **USAGE),
        _call(kind="bad output", **USAGE),
        _call(kind="transient"),
        _call(kind="not asked"),
        _call(kind="resumed"),
    ]
    found = spent(calls)
    assert (found.calls, found.tokens, found.guessed) == (4, 3_300_000, 0)
    assert found.usd == pytest.approx(3 * (0.1 + 0.05))


def test_a_reply_without_counts_is_charged_with_the_worst() -> None:
    """A server that keeps the count of tokens back cannot make a study pass its budget unseen."""
    found = spent([_call(worst_input=1000, worst_output=8000)])
    assert (found.calls, found.tokens, found.guessed) == (1, 9000, 1)
    assert found.words.endswith("at most")


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(calls=3), "the cap of 3 LLM calls is reached"),
        (Budget(tokens=1000), "the cap of 1,000 tokens"),
        (Budget(usd=0.01), "the cap of $0.01"),
    ],
)
def test_a_cap_is_checked_for_the_worst_case(budget: Budget, words: str) -> None:
    """A call that could pass a cap is refused before it is made, with the cap in words."""
    worst = {"input_tokens": 400, "output_tokens": 400}
    so_far = Spent(calls=3, tokens=400, usd=0.0095)
    assert words in budget.refuses(so_far, worst, Price(1.0, 1.0))
    assert budget.refuses(Spent(calls=2, tokens=100, usd=0.001), worst, Price(1.0, 1.0)) == ""


def test_a_cap_in_dollars_needs_a_price() -> None:
    """Where the price is not known, no call is made under a cap in dollars."""
    assert "not known" in Budget(usd=1.0).refuses(Spent(), {"input_tokens": 1, "output_tokens": 1}, None)
    assert Budget(usd=None).refuses(Spent(usd=None), {"input_tokens": 1, "output_tokens": 1}, None) == ""


@pytest.mark.parametrize("values", [{"calls": -1}, {"tokens": 1.5}, {"usd": float("nan")}, {"calls": True}])
def test_a_cap_is_a_number(values: dict[str, float]) -> None:
    """What cannot be a cap is refused with its key."""
    with pytest.raises(ConfigError, match=f"budget.{next(iter(values))}"):
        Budget(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{"input": -1, "output": 1}, {"input": 1, "output": "x"}])
def test_a_price_is_a_number(values: dict[str, float]) -> None:
    """What cannot be a price is refused with its key."""
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.llm\.price"):
        Price(**values)


def test_retries_are_counted_and_lost_requests_are_charged() -> None:
    """A call of three requests counts as three, and what was lost on the way is added to what was counted."""
    found = spent([_call(requests=3, lost=2, worst_input=200, worst_output=100, input_tokens=10, output_tokens=5)])
    assert (found.calls, found.tokens, found.guessed) == (3, 315, 1)


@pytest.mark.parametrize(
    ("price", "words"),
    [({"input": 1.0}, "must also say output"), ({}, "must also say input and output"), (3, "must be a mapping")],
)
def test_a_price_is_given_whole(price: object, words: str) -> None:
    """Half a price is refused with what it lacks, and is no bare TypeError."""
    with pytest.raises(ConfigError, match=words):
        own_price({"price": price})
