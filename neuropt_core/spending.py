"""What an LLM has cost so far, and what it may still cost: counts of tokens, dated prices, hard caps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

from neuropt_core.advice import Consultation
from neuropt_core.errors import ConfigError

PRICES_OF = "2026-11"
"""The month in which `PRICES` were read from the vendors' pages."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens; a cached token is one of the input that the vendor read from its cache.

    Raises:
        ConfigError: A price is no finite number of 0 or more.
    """

    input: float
    output: float
    cache_read: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "cache_read" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                where = f"hydra.sweeper.llm.price.{field.name}"
                raise ConfigError(where, "must be USD per million tokens, 0 or more", got=value)

    def of(self, usage: Mapping[str, int]) -> float | None:
        """Returns what a call cost in USD, or None if its tokens are not known."""
        if "input_tokens" not in usage or "output_tokens" not in usage:
            return None
        cached = min(usage.get("cached_tokens", 0), usage["input_tokens"])
        kept = self.input if self.cache_read is None else self.cache_read
        fresh = usage["input_tokens"] - cached
        return (fresh * self.input + cached * kept + usage["output_tokens"] * self.output) / 1e6


PRICES: Mapping[str, Price] = {
    "claude-haiku-5-5": Price(0.10, 0.50, 0.01),
    "claude-haiku-4-5": Price(1, 5, 0.10),
    "claude-sonnet-5-5": Price(2, 10, 0.20),
    "claude-opus-5-5": Price(4, 20, 0.20),
    "claude-fable-5-1": Price(10, 50, 0.25),
    "gpt-6-luna": Price(0.10, 0.50, 0.01),
    "gpt-6.1-terra": Price(1, 5, 0.05),
    "gpt-6.1-sol": Price(2, 10, 0.10),
    "gpt-6-astra": Price(10, 50, 1.00),
}
"""Model -> list price, as of `PRICES_OF`. Writing to a cache, which some vendors charge 1.25 times, is not counted."""


def price_of(model: str) -> Price | None:
    """Returns a model's list price; None where it is not known, which is not the same as nothing.

    A vendor's dated name of a model (``claude-haiku-5-5-20261007``) has the price of the model.
    """
    return PRICES.get(re.sub(r"[-@]\d{4}-?\d{2}-?\d{2}$", "", model))


@dataclass(frozen=True, slots=True)
class Spent:
    """What consultations have cost.

    Attributes:
        calls: How many requests were made, failed ones, retries and second turns included.
        tokens: Input and output together.
        usd: Dollars; None if the price of a model is not known.
        guessed: How many of the consultations are charged, in whole or in part, with the most they can have cost.
    """

    calls: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    guessed: int = 0

    @property
    def words(self) -> str:
        """For people, e.g. ``4 LLM calls, 12,345 tokens, $0.0021``."""
        calls = f"{self.calls} LLM call{'' if self.calls == 1 else 's'}"
        money = "price unknown" if self.usd is None else f"${self.usd:.4f}"
        return f"{calls}, {self.tokens:,} tokens, {money}" + (" at most" if self.guessed else "")


def spent(consulted: Iterable[Consultation], own: Price | None = None, *, replayed: bool = False) -> Spent:
    """Returns what the calls so far have cost; those that were only suspended cost nothing.

    A reply whose tokens the server did not count, and a request that was sent and got no whole answer, are charged with
    the most that they can have cost (``worst_input`` and ``worst_output``). Each request counts as a call.
    A call that got no reply is counted, and costs what the server said of it, mostly nothing. A reply that names a
    model without a price (an alias, a gateway's own name) has the price of the model that was asked.

    Args:
        consulted: All exchanges of a study.
        own: The user's price, which beats the list's.
        replayed: Whether exchanges from a transcript, which cost nothing now, count as they did when they were made.
    """
    calls = tokens = guessed = 0
    usd: float | None = 0.0
    for consultation in consulted:
        if not consultation.is_call or (consultation.replayed and not replayed):
            continue
        usage = dict(consultation.usage)
        calls += usage.get("requests", 1)
        if "worst_input" in usage:
            known = {"input_tokens", "output_tokens"} <= usage.keys()
            said = usage if known else {"input_tokens": 0, "output_tokens": 0}
            both = {f"{side}_tokens": said[f"{side}_tokens"] + usage[f"worst_{side}"] for side in ("input", "output")}
            usage = {**said, **both}
            guessed += 1
        if not {"input_tokens", "output_tokens"} <= usage.keys():
            continue
        tokens += usage["input_tokens"] + usage["output_tokens"]
        price = own or price_of(consultation.model) or price_of(consultation.asked)
        cost = None if price is None else price.of(usage)
        usd = None if usd is None or cost is None else usd + cost
    return Spent(calls, tokens, usd, guessed)


@dataclass(frozen=True, slots=True)
class Budget:
    """Hard caps for a study; None is no cap.

    Attributes:
        calls: Requests, failed ones, retries and second turns included; the last call may pass it by its own retries.
        tokens: Input and output together.
        usd: Dollars.

    Raises:
        ConfigError: A cap is no number of 0 or more.
    """

    calls: int | None = None
    tokens: int | None = 2_000_000
    usd: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kinds = getattr(self, field.name), (int, float) if field.name == "usd" else (int,)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value) or value < 0:
                where = f"hydra.sweeper.llm.budget.{field.name}"
                raise ConfigError(where, "must be a number of 0 or more, or null for no cap", got=value)

    def refuses(self, so_far: Spent, worst: Mapping[str, int], price: Price | None) -> str:
        """Returns which cap the next call could break, in words, or "" if it may be made.

        Args:
            so_far: What the study has spent.
            worst: ``input_tokens`` and ``output_tokens`` that the call can take at most.
            price: The price of the model that will be asked.
        """
        which = "another" if so_far.calls else "the first"
        if self.calls is not None and so_far.calls >= self.calls:
            return f"the cap of {self.calls} LLM calls is reached"
        if self.tokens is not None and so_far.tokens + sum(worst.values()) > self.tokens:
            return f"{which} call could pass the cap of {self.tokens:,} tokens ({so_far.tokens:,} spent)"
        if self.usd is None:
            return ""
        cost = None if price is None else price.of(worst)
        if cost is None or so_far.usd is None:
            return f"the cap of ${self.usd:g} cannot be kept, since the model's price is not known"
        if so_far.usd + cost > self.usd:
            return f"{which} call could pass the cap of ${self.usd:g} (${so_far.usd:.4f} spent)"
        return ""


def own_price(llm: Mapping[str, object]) -> Price | None:
    """Returns the price that the user gives under ``hydra.sweeper.llm.price``, or None for the list's.

    Raises:
        ConfigError: It is no price.
    """
    return None if llm.get("price") is None else Price(**_fields(Price, "hydra.sweeper.llm.price", llm["price"]))


def own_budget(llm: Mapping[str, object]) -> Budget:
    """Returns the caps under ``hydra.sweeper.llm.budget``.

    Raises:
        ConfigError: They are no caps.
    """
    return Budget(**_fields(Budget, "hydra.sweeper.llm.budget", llm.get("budget") or {}))


def _fields(kind: type[Budget] | type[Price], where: str, given: object) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    given = vars(given) if is_dataclass(given) else given
    if not isinstance(given, Mapping) or not set(given) <= set(names):
        raise ConfigError(where, f"must be a mapping with some of {names}", got=given)
    missing = [f.name for f in fields(kind) if f.default is MISSING and given.get(f.name) is None]
    if missing:
        raise ConfigError(where, f"must also say {' and '.join(missing)}", got=dict(given))
    return dict(given)
