"""Plain settings -> the parts of a study. The one place that reaches the heavy leaves, late and by name.

Not called `build`: a submodule of that name would hide the function `neuropt_core.build` that training scripts call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropt_core.advice import Advisor, Request
from neuropt_core.errors import ConfigError, MissingExtraError
from neuropt_core.spec import StudySpec
from neuropt_core.spending import PRICES_OF, Budget, Price, Spent, own_budget, own_price
from neuropt_core.trial import Proposal, Trial

if TYPE_CHECKING:
    from neuropt_core.advisors.engine import Engine
    from neuropt_core.advisors.llm import Terms
    from neuropt_core.llm.settings import LLMSettings
    from neuropt_core.sinks.base import Sink
    from neuropt_core.sinks.wandb import WandbSink

_log = logging.getLogger(__name__)
ADVISORS = ("auto", "llm", "prior", "random")
_WORDS_OUT, _CARD_OUT = 900, 1_800
"""Tokens of usual replies, for an estimate that is called one: a few candidates with their words, and a space card."""

_WORST_PROMPT = 12_000
"""Tokens of the longest prompt in the worst case: its sections are cut where it would grow beyond 24,000 characters."""

DRY_RUN_TO = "NEUROPT_DRY_RUN_TO"
"""The environment variable that names a file for a dry run's rehearsal as JSON; `neuropt check` sets it."""

MODES = ("live", "record", "replay")
_HERE = "hydra.sweeper.llm"


def make_advisor(
    kind: str,
    llm: Mapping[str, object],
    environ: Mapping[str, str],
    stop: Callable[[], bool] = lambda: False,
    engine: Engine | None = None,
) -> Advisor:
    """Returns the advisor that a setting names.

    Args:
        kind: One of `ADVISORS`; ``auto`` takes the LLM when a key is set, or a server or a script is
            named, else the prior.
        llm: The settings under ``hydra.sweeper.llm``; ``provider`` may be ``auto``.
        environ: Where keys are looked up, by name.
        stop: Whether a call of an LLM is not to be waited for any longer.
        engine: How the search and the gate work; None takes the defaults.

    Raises:
        ConfigError: The name is unknown, or an LLM is asked for and no key, or no SDK, is there.
    """
    if kind not in ADVISORS:
        raise ConfigError("hydra.sweeper.advisor", f"must be one of {', '.join(ADVISORS)}", got=kind)
    from neuropt_core.advisors.chance import RandomAdvisor

    if kind == "random":
        return RandomAdvisor()
    from neuropt_core.advisors.engine import Engine

    engine = engine or Engine()
    if kind == "prior":
        return engine.gate(None)
    settings = llm_settings(llm, environ)
    mode, budget, price = _mode(llm), own_budget(llm), own_price(llm)  # What is wrong is told though nobody be asked.
    if settings is None:
        if kind == "llm":
            raise ConfigError(
                "hydra.sweeper.advisor",
                "is llm, but neither ANTHROPIC_API_KEY nor OPENAI_API_KEY is set, and no base_url",
                mend="Set a key, name its variable in hydra.sweeper.llm.api_key_env with a provider, name a server "
                "of your own in hydra.sweeper.llm.base_url, or use advisor=prior.",
            )
        return engine.gate(None)
    from neuropt_core.advisors.llm import LLMAdvisor
    from neuropt_core.llm.client import make_client
    from neuropt_core.llm.scripted import ScriptedClient

    terms = _terms(llm, settings, mode, budget, price)
    if terms.replay:  # Nobody is asked, so neither a key nor an SDK is needed.
        return engine.gate(LLMAdvisor(ScriptedClient((), name=settings.name), terms))
    try:
        client = make_client(settings, environ, stop)
    except MissingExtraError as error:
        if kind == "llm" or llm.get("provider", "auto") != "auto" or llm.get("base_url"):
            raise
        # A key in the environment may be there for other tools; `auto` does not fail for want of a package.
        _log.warning("A key for %s is set, but the prior advises: %s", settings.provider, error)
        return engine.gate(None)
    return engine.gate(LLMAdvisor(client, terms))


def importances(spec: StudySpec, trials: Sequence[Trial]) -> Mapping[str, float]:
    """Returns the share of each parameter in what made trials good; empty where too few trials tell."""
    from neuropt_core.advisors import importance

    return importance.importances(spec, trials) or {}


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What an advisor would do first.

    Attributes:
        proposals: What would be proposed without asking anybody.
        model: The model that would be asked, or "".
        prompt: The messages of the first call; empty where nobody is asked.
        schema: The schema of its reply.
        input_tokens: About how many tokens the first call for candidates sends: a quarter of its characters.
        card_tokens: About how many the call for the space card sends, which is the first; 0 where none is made.
        worst: The most tokens that a call can take, for the caps.
        price: USD per million tokens; None where it is not known.
        refused: Which cap forbids the first call already, in words; "" if it may be made.
    """

    proposals: tuple[Proposal, ...]
    model: str = ""
    prompt: tuple[Mapping[str, str], ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)
    input_tokens: int = 0
    card_tokens: int = 0
    worst: Mapping[str, int] = field(default_factory=dict)
    price: Price | None = None
    refused: str = ""

    def cost(self, calls: int) -> str:
        """Returns what so many calls for candidates, and the one for the space card, would cost, in words."""
        card = int(self.card_tokens > 0)
        usual = {
            "input_tokens": self.card_tokens + calls * self.input_tokens,
            "output_tokens": card * _CARD_OUT + calls * _WORDS_OUT,
        }
        # A second turn is made where a reply was of no use, so twice the calls is the most; and the prompt grows.
        worst = {**self.worst, "input_tokens": max(_WORST_PROMPT, self.worst["input_tokens"])}
        most = {name: 2 * (card + calls) * count for name, count in worst.items()}
        tokens = f"{self.model}: the first prompt has about {self.card_tokens or self.input_tokens:,} tokens"
        if self.price is None:
            sent, back = most["input_tokens"], most["output_tokens"]
            limit = f"{card + calls} calls send at most {sent:,} tokens and get at most {back:,}"
            return f"{tokens}; {limit}; its price is not known (hydra.sweeper.llm.price sets it)"
        about, ceiling = self.price.of(usual) or 0.0, self.price.of(most) or 0.0
        first = "the space card and " if card else ""
        words = f"{first}{calls} calls of that size cost about ${about:.2g} (prices of {PRICES_OF})"
        return f"{tokens}; {words}, and as the prompt grows at most ${ceiling:.2g}"


def rehearse(advisor: Advisor, request: Request) -> Rehearsal:
    """Returns what `advisor` would do first, without asking anybody."""
    from neuropt_core.advisors.gate import Gate
    from neuropt_core.advisors.llm import LLMAdvisor

    if not isinstance(advisor, Gate) or not isinstance(advisor.adviser, LLMAdvisor):
        return Rehearsal(advisor.propose(request).proposals)
    proposals = advisor.search.propose(request).proposals
    llm, terms = advisor.adviser, advisor.adviser.terms
    call = llm.first_call(request)
    card = llm.first_card(request) if llm.asks_for_a_card(request) else None
    first = card or call
    both = [question.worst_case(terms.max_tokens) for question in (first, call)]
    return Rehearsal(
        proposals,
        terms.model,
        first.messages,
        first.schema,
        call.tokens,
        card.tokens if card else 0,
        {name: max(worst[name] for worst in both) for name in both[0]},
        terms.known_price,
        terms.budget.refuses(Spent(), llm.calls.at_most(both[0]), terms.known_price),
    )


def _mode(llm: Mapping[str, object]) -> str:
    mode, path = llm.get("mode", "live"), llm.get("transcript")
    if mode not in MODES:
        raise ConfigError(f"{_HERE}.mode", f"must be one of {', '.join(MODES)}", got=mode)
    if (mode == "live") != (path is None):
        rule = "is for mode=record and mode=replay" if mode == "live" else f"must be given for mode={mode}"
        raise ConfigError(f"{_HERE}.transcript", rule, mend="Name the folder of the sweep that left it.")
    return str(mode)


def _terms(llm: Mapping[str, object], settings: LLMSettings, mode: str, budget: Budget, price: Price | None) -> Terms:
    from neuropt_core.advisors.llm import Terms
    from neuropt_core.spending import price_of
    from neuropt_core.transcript import Replies

    path = llm.get("transcript")
    if budget.usd is not None and price is None and price_of(settings.asked_model) is None:
        rule = f"cannot be kept, since the price of {settings.asked_model} is not known"
        raise ConfigError(f"{_HERE}.budget.usd", rule, mend=f"Give {_HERE}.price, or cap the tokens instead.")
    return Terms(
        budget=budget,
        price=price,
        model=settings.asked_model,
        max_tokens=settings.max_tokens,
        replies=None if path is None else Replies(Path(str(path))),
        replay=mode == "replay",
    )


def llm_settings(llm: Mapping[str, object], environ: Mapping[str, str]) -> LLMSettings | None:
    """Returns whom to ask as the settings under ``hydra.sweeper.llm`` say; None where ``auto`` finds no key.

    ``auto`` is ``scripted`` where there is a script, and ``openai_compatible`` where a server is named: nearly all
    servers speak chat completions, and no key leaves that was not named for it. Else the vendor whose key is set.

    Raises:
        ConfigError: A setting is wrong.
    """
    from neuropt_core.llm.settings import LLMSettings, check_unasked, pick_provider

    asked: dict[str, Any] = {field.name: llm[field.name] for field in fields(LLMSettings) if field.name in llm}
    provider = llm.get("provider", "auto")
    if provider == "auto":
        if llm.get("script"):
            provider = "scripted"
        elif llm.get("base_url"):
            provider = "openai_compatible"
        elif llm.get("api_key_env"):
            raise ConfigError(
                "hydra.sweeper.llm.api_key_env",
                "needs hydra.sweeper.llm.provider or base_url beside it",
                mend="Set provider=anthropic or provider=openai.",
            )
        elif llm.get("mode") == "replay" and pick_provider(environ) is None:
            mend = "Name it, and the model, as they were then."
            raise ConfigError(f"{_HERE}.provider", "must be named for a replay", mend=mend)
        else:
            provider = pick_provider(environ)
        if provider is None:
            check_unasked(asked)
            return None
    return LLMSettings(**{**asked, "provider": provider})


def make_wandb_sink(settings: Mapping[str, object], environ: Mapping[str, str]) -> WandbSink | None:
    """Returns the sink that the settings under ``hydra.sweeper.wandb`` ask for, or None where W&B is off.

    Raises:
        ConfigError: A setting is wrong, or wandb or its key is asked for and missing.
    """
    from neuropt_core.sinks._wandb_mode import is_installed
    from neuropt_core.sinks.wandb import WandbSettings, WandbSink, resolve_mode

    checked = WandbSettings(**settings)  # type: ignore[arg-type]
    mode = resolve_mode(checked, environ)
    if checked.mode == "auto" and environ.get("WANDB_API_KEY") and not is_installed():
        # As with an LLM's key: it may be there for other tools, so this ends nothing.
        _log.warning("WANDB_API_KEY is set, but nothing goes to W&B: pip install 'hydra-neuropt-sweeper[wandb]'")
    return None if mode == "disabled" else WandbSink(checked, mode, environ=environ)


def make_trackers(tensorboard: object, mlflow: Mapping[str, object], environ: Mapping[str, str]) -> list[Sink]:
    """Returns the sinks that ``hydra.sweeper.tensorboard`` and the settings under ``hydra.sweeper.mlflow`` ask for.

    Raises:
        ConfigError: A setting is wrong, or what it needs is not installed.
    """
    from neuropt_core.sinks.mlflow import MlflowSettings, MlflowSink
    from neuropt_core.sinks.tensorboard import TensorBoardSink, check_tensorboard

    settings = MlflowSettings(**mlflow)  # type: ignore[arg-type]
    sinks: list[Sink] = [TensorBoardSink(environ)] if check_tensorboard(tensorboard) else []
    return [*sinks, MlflowSink(settings, environ)] if settings.experiment is not None else sinks
