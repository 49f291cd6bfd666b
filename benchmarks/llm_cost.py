"""What the prompts of a study cost: tokens and USD at 10, 50, 200 and 500 trials of a realistic fine-tuning study.

    python benchmarks/llm_cost.py [--out benchmarks/results/llm_cost.md]

No model is asked. The trials are made up by a formula (scores that depend on the parameters, curves of ten epochs, some
out of memory, some diverged); the prompts are those that such a study would send. Tokens are estimated twice, since
vendors' tokenizers are not at hand: characters / 3, and the pieces that the pre-tokenizer of GPT-4's published
vocabulary cuts text into, with words in pieces of 5 letters. Costs take the larger one.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
from pathlib import Path

from neuropt_core.advice import Consultation, Lesson, Request
from neuropt_core.card import Belief, SpaceCard
from neuropt_core.curve import Curve, Point
from neuropt_core.llm.card_prompt import card_messages, configurations
from neuropt_core.llm.card_schema import card_schema
from neuropt_core.llm.prompt import messages
from neuropt_core.llm.schema import reply_schema, slots
from neuropt_core.profile import Group, ModelProfile, Pretrained
from neuropt_core.space import Categorical, Float, Int, SearchSpace, Value, When
from neuropt_core.spec import StudySpec
from neuropt_core.spending import PRICES as LIST
from neuropt_core.spending import PRICES_OF, Price
from neuropt_core.trial import INTENTS, Failure, Outcome, Predicted, Proposal, Trial, TrialState

SIZES = (10, 50, 200, 500)
BATCH = 3
"""Candidates a call: the slate of which one is run; twice or three times as many are asked for as places are free."""
STEP = 2
"""The LLM is asked for at most every second trial."""
# Caching is left out: with trials of minutes the cache has often gone cold, so the costs are upper bounds.
MODELS = ("claude-haiku-5-5", "gpt-6-luna", "gpt-6.1-terra", "claude-sonnet-5-5", "claude-opus-5-5")
PRICES = {model: LIST[model] for model in MODELS}

SPACE = SearchSpace(
    (
        Float(name="optimizer.lr", low=1e-5, high=1e-1, log=True, default=1e-3, has_default=True, role="lr"),
        Float(name="optimizer.weight_decay", low=1e-6, high=1e-1, log=True, default=1e-2, has_default=True),
        Categorical(name="optimizer.name", choices=("AdamW", "SGD", "Lion"), default="AdamW", has_default=True),
        Float(name="optimizer.momentum", low=0.0, high=0.99, when=(When("optimizer.name", ("SGD",)),)),
        Int(name="data.batch_size", low=16, high=512, log=True, default=64, has_default=True),
        Float(name="model.dropout", low=0.0, high=0.6, default=0.1, has_default=True),
        Categorical(
            name="neuropt.freeze_strategy",
            choices=("full", "head_only", "gradual_unfreeze"),
            default="full",
            has_default=True,
            role="freeze_strategy",
            note="8 depth groups",
        ),
        Float(name="neuropt.lr_layer_decay", low=0.5, high=1.0, default=1.0, has_default=True),
        Float(name="neuropt.head_lr_mult", low=1.0, high=30.0, log=True, default=1.0, has_default=True),
        Categorical(name="neuropt.l2sp_regularization", choices=(False, True), default=False, has_default=True),
        Float(
            name="neuropt.l2sp_alpha",
            low=1e-4,
            high=1e-1,
            log=True,
            when=(When("neuropt.l2sp_regularization", (True,)),),
        ),
        Categorical(
            name="neuropt.bn_mode",
            choices=("train", "frozen", "recalibrate"),
            default="train",
            has_default=True,
            role="bn_mode",
        ),
        Categorical(name="neuropt.activation", choices=("keep", "GELU", "SiLU"), default="keep", has_default=True),
        Float(name="data.mixup", low=0.0, high=1.0, default=0.0, has_default=True),
        Float(name="loss.label_smoothing", low=0.0, high=0.3, default=0.0, has_default=True),
    )
)
PROFILE = ModelProfile(
    target="timm.create_model",
    parameters=4_652_008,
    activations={"ReLU6": 33},
    norms={"BatchNorm": 49},
    dropouts={"Dropout": 1},
    pools={"avg": 1},
    head=("classifier",),
    groups=tuple(Group(name, 12, 500_000) for name in ("conv_stem", *(f"blocks.{i}" for i in range(6)), "classifier")),
    pretrained=Pretrained(
        True, ("311 of 313 tensors are equal in builds under two seeds",), True, ("classifier.weight",)
    ),
    trainable={"full": 1.0, "head_only": 0.0028, "gradual_unfreeze": 0.41},
)
TASK = "Ten classes of clothing, 320 training images of 48 x 48 pixels, 256 for validation, ten epochs on one GPU."
SPEC = StudySpec("cost", SPACE, profile=PROFILE, task=TASK)


def study(n: int, spec: StudySpec = SPEC, count: int = BATCH, n_trials: int = 500) -> Request:
    """Returns the request after `n` made-up trials, the same for the same `n`; the last one still runs."""
    chance = random.Random(0)
    trials = tuple(_trial(i, spec.space, chance, running=i == n - 1 and n > 1) for i in range(n))
    lessons = tuple(
        Lesson(
            f"Lesson {i}: the rate that the head bears is too large for the rest of the network.",
            (3 * i, 3 * i + 1),
            (7,),
        )
        for i in range(min(12, n // 8))
    )
    consulted = (Consultation("m", learnt=lessons),) if lessons else ()
    return Request(spec, trials, n, count, n_trials, consulted, least=1, card=_card(spec.space) if n else None)


def _card(space: SearchSpace) -> SpaceCard:
    """Returns a card that believes something of every parameter."""
    beliefs = {}
    for p in space.parameters:
        if isinstance(p, Categorical):
            beliefs[p.name] = Belief(mode=p.choices[0], likely=p.choices[:2], risk="May overfit on so few images.")
        else:
            low, high = p.low + (p.high - p.low) / 10, p.low + (p.high - p.low) / 2
            beliefs[p.name] = Belief(low, high, low, risk="May overfit on so few images.")
    return SpaceCard("llm", beliefs, (), Predicted(0.4, 0.5, 0.6))


def _trial(number: int, space: SearchSpace, chance: random.Random, running: bool) -> Trial:
    params = space.defaults() if number == 0 else _params(space, chance)
    source = "default" if number == 0 else chance.choice(("llm", "llm", "surrogate", "prior"))
    loss = 0.5 + 0.08 * abs(math.log10(float(params.get("optimizer.lr") or 1e-3)) + 3.2) ** 2 + 0.1 * chance.random()
    proposal = Proposal(params, "Because of #0, whose validation loss rose.", source)
    if source == "llm":
        proposal = Proposal(
            params,
            "Because of #0, whose validation loss rose after the third epoch.",
            source,
            predicted=Predicted(loss + 0.06, loss + 0.12, loss + 0.2),
            intent=chance.choice(INTENTS),
            parent=chance.randrange(number),
            hypothesis="A smaller rate with L2-SP keeps what was loaded.",
            falsifier="The gap widens as before.",
        )
    if running:
        return Trial(number, proposal)
    if float(params.get("data.batch_size") or 0) > 400:
        return Trial(
            number, proposal, Outcome(TrialState.FAIL, failure=Failure("out_of_memory", "torch.OutOfMemoryError: x"))
        )
    if float(params.get("optimizer.lr") or 0) > 0.05:
        broken = Curve(
            (Point(0, {"train_loss": 9.0, "val_loss": 9.0}), Point(1, {"train_loss": math.nan, "val_loss": math.nan}))
        )
        return Trial(number, proposal, Outcome(TrialState.FAIL, curve=broken, failure=Failure("non_finite", "x")))
    points = []
    for epoch in range(10):
        train = loss * (0.3 + 1.9 * math.exp(-epoch / 2))
        val = loss * (1 + 1.2 * math.exp(-epoch / 1.5)) + 0.012 * epoch + 0.02 * chance.random()
        points.append(Point(epoch, {"train_loss": train, "val_loss": val, "val_acc": 1 - val / 4}, 4.0 * epoch))
    final = points[-1].metrics["val_loss"]
    return Trial(number, proposal, Outcome(TrialState.COMPLETE, final, Curve(tuple(points)), seconds=40.0))


def _params(space: SearchSpace, chance: random.Random) -> dict[str, Value]:
    params: dict[str, Value] = {}
    for p in space.parameters:
        share = chance.random()
        if not space.is_active(p.name, params):
            continue
        if isinstance(p, Categorical):
            params[p.name] = p.choices[int(share * len(p.choices))]
            continue
        value = p.low * (p.high / p.low) ** share if p.log else p.low + (p.high - p.low) * share
        params[p.name] = p.low + (int(value) - p.low) // p.step * p.step if isinstance(p, Int) else value
    return params


_PIECE = re.compile(r"[^\W\d_]+|\d{1,3}|\s+|[^\s\w]+|_+")


def tokens(text: str) -> int:
    """Returns the larger of two estimates: characters / 3, and pieces of at most 5 letters, 3 digits or 3 signs."""
    pieces = 0
    for match in _PIECE.finditer(text):
        piece = match.group()
        if piece.isspace():
            pieces += 0 if piece == " " else 1
        else:
            pieces += -(-len(piece) // (5 if piece.isalpha() else 3))
    return max(-(-len(text) // 3), pieces)


def prompt_tokens(request: Request) -> int:
    """Returns the estimated tokens of both messages of a request's first call."""
    return sum(tokens(message["content"]) for message in messages(request))


def reply_tokens(count: int = BATCH) -> int:
    """Returns the estimated tokens of a reply whose texts are as long as the schema asks for; thinking comes on top."""
    words = " ".join(["evidence"] * 40)
    values = {slot.alias: 0.000123 for slot in slots(SPACE)}
    candidate = {
        "intent": "explore",
        "parent": 12,
        "hypothesis": words,
        "falsifier": words,
        "values": values,
        "expected": {"p10": 0.412, "p50": 0.456, "p90": 0.512},
        "rationale": words,
    }
    lesson = {"lesson": words, "supports": [1, 2, 3], "contradicts": [4]}
    reply = {"diagnosis": words * 2, "lessons_keep": [lesson], "lessons_retire": [1], "candidates": [candidate] * count}
    return tokens(json.dumps(reply))


def card_tokens() -> tuple[int, int]:
    """Returns the estimated tokens of the call for a space card, schema included, and of its reply, words at length."""
    sent = sum(tokens(m["content"]) for m in card_messages(study(0))) + tokens(json.dumps(card_schema(SPACE)))
    words = " ".join(["evidence"] * 20)
    fields = slots(SPACE)
    numbers = [
        {"parameter": s.alias, "why": words, "low": 0.000123, "high": 0.0123, "mode": 0.00123, "risk": words}
        for s in fields
        if not isinstance(s.parameter, Categorical)
    ]
    choices = [
        {"parameter": s.alias, "why": words, "likely": list(s.labels[:2]), "risk": words} for s in fields if s.labels
    ]
    one = {"rationale": f"{words} {words[:89]}", "values": {slot.alias: 0.000123 for slot in fields}}
    expected = [{"p10": 0.412, "p50": 0.456, "p90": 0.512}]
    portfolio = [one] * configurations(SPACE)
    reply = {"diagnosis": words * 4, "numbers": numbers, "choices": choices, "portfolio": portfolio}
    return sent, tokens(json.dumps({**reply, "expected": expected}))


def report() -> str:
    """Returns the tables in Markdown."""
    schema, answer = tokens(json.dumps(reply_schema(SPACE))), reply_tokens()
    card_in, card_out = card_tokens()
    lines = [
        "# What the prompts cost",
        "",
        f"`python benchmarks/llm_cost.py`: a made-up fine-tuning study of {len(SPACE)} parameters, ten epochs a trial,",
        f"{BATCH} candidates a call, of which one is run. Tokens are estimates: the larger of characters / 3 and a",
        "count of word pieces (words in pieces of 5 letters, digits in pieces of 3); no vendor's tokenizer was asked.",
        f"Prices: the vendors' pages as of {PRICES_OF}, without caching. A call sends the prompt and the schema",
        f"({schema} tokens) and gets back about {answer} tokens, with every text as long as it may be; thinking",
        "comes on top where a model thinks (two to five times the reply).",
        "",
        "| trials so far | prompt, tokens | same in all calls | "
        + " | ".join(f"{m}, USD a call" for m in PRICES)
        + " |",
        "|---" * (3 + len(PRICES)) + "|",
    ]
    costs = {n: prompt_tokens(study(n)) for n in sorted({*SIZES, *range(1, max(SIZES), STEP)})}
    for n in SIZES:
        static = tokens(messages(study(n))[0]["content"])
        paid = [_usd(costs[n] + schema, answer, prices) for prices in PRICES.values()]
        lines.append(f"| {n} | {costs[n]} | {static} | " + " | ".join(f"{usd:.4f}" for usd in paid) + " |")
    heads = [f"{m}, USD" for m in PRICES]
    lines += [
        "",
        f"A study begins with a space card: {card_in} tokens in, schema included, and about {card_out} out.",
        "",
        f"Whole studies in which the LLM is asked once in {STEP} trials, the others being the optimizer's, without a",
        "second turn; the card is the first call, and its portfolio makes calls in the first trials needless, which",
        "is not taken off here:",
        "",
        "| trials | calls | tokens in | tokens out | " + " | ".join(heads) + " |",
        "|---" * (4 + len(PRICES)) + "|",
    ]
    for n in SIZES:
        asked = range(1, n, STEP)
        sent, got = card_in + sum(costs[i] + schema for i in asked), card_out + answer * len(asked)
        paid = [_usd(sent, got, prices) for prices in PRICES.values()]
        lines.append(f"| {n} | {1 + len(asked)} | {sent} | {got} | " + " | ".join(f"{usd:.3g}" for usd in paid) + " |")
    return "\n".join(lines) + "\n"


def _usd(sent: int, received: int, price: Price) -> float:
    return price.of({"input_tokens": sent, "output_tokens": received}) or 0.0


def main() -> None:
    """Prints the tables, and writes them to a file if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    text = report()
    print(text, end="")
    if out is not None:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
