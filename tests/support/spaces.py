"""Search spaces and studies in a few words, for tests of who proposes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from neuropt_core.advice import Advice, Advisor, Request, own_configuration
from neuropt_core.space import Categorical, Float, Int, SearchSpace, Value, When
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Proposal, Trial, TrialState

MIXED = SearchSpace(
    (
        Float(name="lr", low=1e-5, high=1.0, log=True, default=1e-3, has_default=True, role="lr"),
        Float(name="dropout", low=0.0, high=0.5, default=0.0, has_default=True, role="dropout"),
        Int(name="width", low=16, high=512, log=True, default=64, has_default=True),
        Categorical(name="opt", choices=("adam", "sgd"), default="adam", has_default=True),
        Float(name="momentum", low=0.0, high=0.99, when=(When("opt", ("sgd",)),)),
    )
)
"""Every kind of parameter, and one that counts only beside another."""


def spaces() -> st.SearchStrategy[SearchSpace]:
    """Returns spaces of one to five parameters, the last of which may depend on the first."""

    @st.composite
    def made(draw: st.DrawFn) -> SearchSpace:
        kinds = draw(st.lists(st.sampled_from(("float", "log", "int", "choice")), min_size=1, max_size=4))
        parameters: list[Any] = []
        for i, kind in enumerate(kinds):
            name = f"p{i}"
            if kind == "choice":
                parameters.append(Categorical(name=name, choices=("a", "b", "c"), default="a", has_default=True))
            elif kind == "int":
                step = draw(st.integers(1, 3))
                parameters.append(Int(name=name, low=-3, high=9, step=step, default=-3, has_default=True))
            else:
                low, high = (1e-4, 10.0) if kind == "log" else (-1.0, 2.0)
                parameters.append(
                    Float(name=name, low=low, high=high, log=kind == "log", default=1.0, has_default=True)
                )
        if kinds[0] == "choice" and draw(st.booleans()):
            parameters.append(Float(name="inner", low=0.0, high=1.0, when=(When("p0", ("b", "c")),)))
        return SearchSpace(tuple(parameters))

    return made()


def study(
    advisor: Advisor,
    objective: Callable[[dict[str, Value]], float | Outcome],
    n_trials: int,
    space: SearchSpace = MIXED,
    **spec: Any,
) -> tuple[Trial, ...]:
    """Runs a study in a row, trial 0 being the default, to the end of the budget or of the space.

    An objective may return an outcome instead of a score.
    """
    made = StudySpec("s", space, **spec)
    trials: list[Trial] = []
    request = Request(made, (), 0, 1, n_trials)
    while len(trials) < n_trials:
        advice = Advice((own_configuration(space),)) if not trials else advisor.propose(request)
        if not advice.proposals:
            break
        proposal = advice.proposals[0]
        assert not space.check(proposal.params), proposal
        came = objective(dict(proposal.params))
        outcome = came if isinstance(came, Outcome) else Outcome(TrialState.COMPLETE, came)
        trials.append(Trial(len(trials), proposal, outcome))
        request = Request(
            made,
            tuple(trials),
            len(trials),
            1,
            n_trials,
            (*request.consulted, *advice.consultations),
            rejected=(*request.rejected, *advice.rejected),
            card=advice.card or request.card,
        )
    return tuple(trials)


def told(
    configurations: Sequence[dict[str, Value]], scores: Sequence[float | Outcome], source: str = "prior"
) -> tuple[Trial, ...]:
    """Returns finished trials; the first one is the default's."""
    return tuple(
        Trial(
            number,
            Proposal(params, "Because.", "default" if number == 0 else source),
            score if isinstance(score, Outcome) else Outcome(TrialState.COMPLETE, score),
        )
        for number, (params, score) in enumerate(zip(configurations, scores, strict=True))
    )
