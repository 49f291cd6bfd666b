"""One question put to the advisor of a study, kept as it is answered."""

from __future__ import annotations

from collections.abc import Callable

from neuropt_core.advice import Advice, Advisor, Consultation
from neuropt_core.study import Study


def advised(
    study: Study, advisor: Advisor, *, count: int, n_trials: int, show: Callable[[Consultation], None]
) -> Advice:
    """Returns what an advisor proposes now, with its consultations shown and journaled.

    Args:
        study: Whose trials are asked for; nothing is asked of it here, that is up to the caller.
        advisor: Whom to ask.
        count: How many proposals are wanted.
        n_trials: The study's total budget.
        show: Tells the sinks of an exchange with an LLM.
    """
    advice = advisor.propose(study.request(count=count, n_trials=n_trials))
    for consultation in advice.consultations:
        # The transcript comes first: what the journal has and it lacks could never be replayed.
        show(consultation)
        study.consult(consultation)
    study.note(advice)
    return advice
