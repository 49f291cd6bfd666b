"""What a real LLM makes of curves, context and scores: full prompts against crippled ones, and against no LLM.

    ANTHROPIC_API_KEY=... python benchmarks/live.py [--seeds 20] [--trials 20] [--provider anthropic] [--model ...]

Needs a key (or a server: --base-url, --model) and costs money: about `trials` / 2 calls a study, an arm and a seed;
prints the sum first and asks for --yes. Without a key it says so and does nothing. The tasks are the recorded trainings
of `curves/`; nothing is trained. All arms have the same gate and search, and the same seeds:

- ``full``: the prompt as it is; ``no_curves``: trials without their curves; ``no_context``: parameters named p0, p1 ...
  without roles, notes or defaults' words; ``permuted``: the scores of the trials dealt anew among them, for the prompt
  alone; ``keyless``: no LLM; ``tpe_default``: Optuna's TPE that starts from the user's own configuration.

Prints the regret as a ratio to ``tpe_default``, paired by task and seed, with bootstrap intervals.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from _curves import load, names
from _tables.arms import ARMS, REFERENCE
from _tables.engine import engine
from _tables.ratios import ratio
from _tables.runs import Kept, Key, run_one

from neuropt_core.advice import Advice, Request
from neuropt_core.advisors.gate import Adviser
from neuropt_core.advisors.llm import LLMAdvisor, Terms
from neuropt_core.assemble import llm_settings
from neuropt_core.card import SpaceCard
from neuropt_core.curve import Curve
from neuropt_core.files import write_whole
from neuropt_core.llm.client import make_client
from neuropt_core.space import SearchSpace, When
from neuropt_core.spending import Budget, price_of
from neuropt_core.trial import Proposal, Trial

CRIPPLED = ("full", "no_curves", "no_context", "permuted")
_RESULTS = Path(__file__).parent / "results" / "live.md"


@dataclass(frozen=True, slots=True)
class Shown:
    """An adviser that is shown a request as `how` says, and whose answer is brought back into the study's own names."""

    inner: Adviser
    how: str
    name: str = "llm"

    def card(self, request: Request) -> Advice:
        """Returns the card, in the study's names."""
        return self._back(self.inner.card(shown(request, self.how)), request)

    def propose(self, request: Request) -> Advice:
        """Returns the proposals, in the study's names."""
        return self._back(self.inner.propose(shown(request, self.how)), request)

    def _back(self, advice: Advice, request: Request) -> Advice:
        if self.how != "no_context":
            return advice
        own = dict(zip(_anonymous(request.space).names, request.space.names, strict=True))

        def named(proposal: Proposal) -> Proposal:
            return replace(proposal, params={own[name]: value for name, value in proposal.params.items()})

        card = advice.card
        if card is not None:
            beliefs = {own[name]: belief for name, belief in card.beliefs.items()}
            card = SpaceCard(card.source, beliefs, tuple(map(named, card.portfolio)), card.expected)
        return replace(advice, proposals=tuple(map(named, advice.proposals)), card=card)


def shown(request: Request, how: str) -> Request:
    """Returns what an LLM is shown of a request."""
    if how == "no_curves":
        return replace(request, trials=tuple(_without_curve(t) for t in request.trials))
    if how == "permuted":
        return replace(request, trials=_permuted(request))
    if how == "no_context":
        space = _anonymous(request.space)
        new = dict(zip(request.space.names, space.names, strict=True))
        spec = replace(request.spec, space=space, profile=None, task="", hints={})
        trials = tuple(_renamed(t, new) for t in request.trials)
        return replace(request, spec=spec, trials=trials, rejected=(), card=None)
    return request


def _without_curve(trial: Trial) -> Trial:
    return trial if trial.outcome is None else replace(trial, outcome=replace(trial.outcome, curve=Curve()))


def _renamed(trial: Trial, new: dict[str, str]) -> Trial:
    params = {new[name]: value for name, value in trial.params.items()}
    return replace(trial, proposal=replace(trial.proposal, params=params))


def _permuted(request: Request) -> tuple[Trial, ...]:
    ended = [t for t in request.trials if t.outcome is not None]
    outcomes = [t.outcome for t in ended]
    random.Random(f"{request.spec.seed}/{request.number}/permuted").shuffle(outcomes)
    dealt = {t.number: outcome for t, outcome in zip(ended, outcomes, strict=True)}
    return tuple(replace(t, outcome=dealt.get(t.number)) for t in request.trials)


def _anonymous(space: SearchSpace) -> SearchSpace:
    new = {name: f"p{i}" for i, name in enumerate(space.names)}
    return SearchSpace(
        tuple(
            replace(
                p,
                name=new[p.name],
                role="",
                note="",
                when=tuple(When(new[c.name], c.values) for c in p.when),
            )
            for p in space.parameters
        )
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--provider", default="auto")
    parser.add_argument("--model")
    parser.add_argument("--base-url")
    parser.add_argument("--usd", type=float, default=20.0, help="a hard cap for each study, if the price is known")
    parser.add_argument("--yes", action="store_true", help="spend it")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    return parser.parse_args()


def main() -> None:
    """Runs all arms on all recorded tasks and prints the table."""
    given = _arguments()
    wanted = {"provider": given.provider, "model": given.model, "base_url": given.base_url}
    settings = llm_settings({name: value for name, value in wanted.items() if value}, os.environ)
    if settings is None:
        sys.exit("Skipped: neither ANTHROPIC_API_KEY nor OPENAI_API_KEY is set, and no --base-url is given.")
    studies = len(CRIPPLED) * len(names()) * given.seeds
    calls = studies * given.trials
    print(f"{studies} studies of {given.trials} trials with {settings.asked_model}: up to {calls} calls.")
    if not given.yes:
        sys.exit("Nothing was asked; --yes asks.")

    def arm(how: str) -> Callable[[], object]:
        # A server of one's own has no price, and no dollars to cap.
        usd = None if price_of(settings.asked_model) is None else given.usd
        terms = Terms(budget=Budget(usd=usd), model=settings.asked_model, max_tokens=settings.max_tokens)
        return lambda: engine(Shown(LLMAdvisor(make_client(settings, os.environ), terms), how))

    arms = {**{how: arm(how) for how in CRIPPLED}, "keyless": ARMS["keyless"], REFERENCE: ARMS[REFERENCE]}
    kept: dict[Key, Kept] = {}
    for seed in range(given.seeds):
        for task in names():
            for name, make in arms.items():
                key = Key(name, task, seed, 1, given.trials)
                kept[key] = run_one(key, make, load)  # type: ignore[arg-type]
                print(key, kept[key].regrets, kept[key].sources, flush=True)
    cuts = next(iter(kept.values())).regrets
    lines = [f"| arm | {' | '.join(f'@{cut}' for cut in cuts)} |", "|---|" + "---|" * len(cuts)]
    for name in arms:
        cells = [ratio(kept, name, REFERENCE, workers=1, n_trials=given.trials, cut=cut) for cut in cuts]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    page = "\n".join([f"{settings.asked_model}, {given.seeds} seeds, {given.trials} trials.", "", *lines, ""])
    print(page)
    write_whole(given.out, page)


if __name__ == "__main__":
    main()
