"""An advisor with a substitute: where the first has nothing legal to say, the second proposes, visibly."""

from __future__ import annotations

from dataclasses import replace

from neuropt_core.advice import Advice, Advisor, Request


class WithStandIn:
    """Asks `first`; what it leaves open is proposed by `second` and marked with `stands_in_for`."""

    def __init__(self, first: Advisor, second: Advisor, *, source: str) -> None:
        """`source` is what `first` would have signed its proposals with, e.g. ``llm``."""
        self.first, self.second, self._source = first, second, source
        self.name = first.name

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` proposals unless both advisors have run dry."""
        advice = self.first.propose(request)
        missing = request.count - len(advice.proposals)
        if missing <= 0:
            return advice
        rest = self.second.propose(request.after(advice.proposals, count=missing))
        filled = tuple(replace(proposal, stands_in_for=self._source) for proposal in rest.proposals)
        return Advice(advice.proposals + filled, advice.consultations + rest.consultations)
