"""The time that a configuration would take."""

from __future__ import annotations

import math

from neuropt_core.advisors._cost import log_seconds, timed
from neuropt_core.advisors._evidence import evidence
from neuropt_core.space import Categorical, Float, Int, SearchSpace, When
from neuropt_core.trial import Outcome, Proposal, Trial, TrialState

SPACE = SearchSpace(
    (
        Int(name="width", low=1, high=1024, log=True),
        Categorical(name="opt", choices=("adam", "sgd")),
        Float(name="momentum", low=0.0, high=1.0, when=(When("opt", ("sgd",)),)),
    )
)


def test_neighbours_tell_the_time() -> None:
    """A wide network is expected to take what the five nearest took; trials without a time are left out."""
    entries = []
    for i in range(40):
        params = {"width": 2 ** (i % 11), "opt": "sgd" if i % 2 else "adam", **({"momentum": 0.5} if i % 2 else {})}
        outcome = Outcome(TrialState.COMPLETE, 1.0, seconds=0.0 if i == 0 else float(2 ** (i % 11)))
        entries.append(evidence([Trial(i, Proposal(params, "r", "random"), outcome)], ()))
    known = timed(entries)
    assert len(known) == 39
    wide, narrow = ({"width": w, "opt": "adam"} for w in (1024, 1))
    assert log_seconds(wide, known, SPACE) > math.log(200)
    assert log_seconds(narrow, known, SPACE) < math.log(8)
