"""A request -> the messages of one call: what never changes in a study first, the history and the question after it.

A pure function: no clock, no path, no secret, no order that depends on a hash. The first message is the same in all
calls of a study, so vendors can keep it in their caches. Whatever was written by others (names of metrics, the user's
words, a failed trial's exception) stands in it as JSON strings, capped, and exceptions as their class only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuropt_core.advice import Request
from neuropt_core.llm._history import history
from neuropt_core.llm._rows import params_words
from neuropt_core.llm._static import system_text
from neuropt_core.llm._text import cut, whole
from neuropt_core.llm.schema import slots
from neuropt_core.space import Value

_PROMPT = 20_000
"""Characters of both messages: 8,000 tokens at 2.5 characters a token (words make about 4, numbers 2 to 3)."""
_HISTORY = 4_500
"""Characters that the history gets even where space and task have filled the prompt."""
_UNREAD = "bad output: "
"""How the complaint about a reply begins that could not be read as a whole."""
_TOO_LONG = ("max_tokens", "must have at most", "is longer than")
_ACCEPTED, _CHANGED, _COMPLAINTS, _COMPLAINT = 8, 12, 12, 300


def messages(
    request: Request, complaints: Sequence[str] = (), accepted: Sequence[Mapping[str, Value]] = ()
) -> tuple[dict[str, str], ...]:
    """Returns the system message and the user message for a request.

    Args:
        request: What is known and what is asked.
        complaints: Why the first reply, or parts of it, were not used; makes this the second and last turn.
        accepted: The configurations of the first reply that were taken.
    """
    return framed(request, _ask(request, len(accepted)), complaints, accepted, "what it taught is kept")


def framed(
    request: Request,
    ask: str,
    complaints: Sequence[str],
    accepted: Sequence[Mapping[str, Value]],
    kept: str,
) -> tuple[dict[str, str], ...]:
    """Returns the messages of any call: the system message, then the history and what is asked.

    Args:
        request: What is known.
        ask: The question.
        complaints: What was wrong with the first reply; makes this the second turn.
        accepted: The configurations of the first reply that were taken.
        kept: What else is kept of the first reply, in words.
    """
    system = system_text(request)
    rest = [ask]
    if complaints or accepted:
        rest.insert(0, _second_turn(request, complaints, accepted, kept))
    taken = len(system) + sum(map(len, rest))
    told = history(request, max(_HISTORY, _PROMPT - taken))
    # What was typed in another encoding holds lone surrogates, which no request can carry.
    return (
        {"role": "system", "content": whole(system)},
        {"role": "user", "content": whole("\n\n".join([told, *rest]))},
    )


def budget_words(request: Request) -> str:
    """Returns how many trials are left; a call's key leaves this sentence out (`transcript.without_budget`)."""
    left = max(0, request.n_trials - len(request.trials))
    return f"Budget: {left} of {request.n_trials} trials are left. "


def _second_turn(
    request: Request, complaints: Sequence[str], accepted: Sequence[Mapping[str, Value]], kept: str
) -> str:
    if complaints and complaints[0].startswith(_UNREAD):
        return _unread(complaints[0])
    lines = [f"Your first reply to this was checked. Give only what is still missing; {kept}."]
    fields = {slot.parameter.name: slot for slot in slots(request.space)}
    base = request.trials[0].params if request.trials else {}
    differs = " (what differs from #0)" if request.trials else ""
    for params in accepted[:_ACCEPTED]:
        lines.append(f"Accepted, do not repeat{differs}: {params_words(params, base, fields, _CHANGED)}")
    if len(accepted) > _ACCEPTED:
        lines.append(f"... and {len(accepted) - _ACCEPTED} more were accepted")
    lines += [f"Not used: {cut(complaint, _COMPLAINT)}" for complaint in complaints[:_COMPLAINTS]]
    if len(complaints) > _COMPLAINTS:
        lines.append(f"... and {len(complaints) - _COMPLAINTS} complaints more")
    return "\n".join(lines)


def _unread(complaint: str) -> str:
    """Says that nothing of the first reply was read, and why; the mend that may follow the rule is for the user."""
    rule = complaint.removeprefix(_UNREAD).partition(". ")[0].removeprefix("reply: ")
    if any(words in rule for words in _TOO_LONG):
        return (
            f"Your first reply to this was cut off, so none of it was used ({cut(rule, _COMPLAINT)}). "
            "Give the whole reply again, and be much shorter in every text."
        )
    return (
        f"Your first reply to this could not be read, so none of it was used ({cut(rule, _COMPLAINT)}). "
        "Give the whole reply again: one JSON object that follows the schema."
    )


def _ask(request: Request, accepted: int) -> str:
    wanted = request.count - accepted
    plural = "candidate" if wanted == 1 else "candidates"
    slate = 0 < request.least < request.count
    some = f", of which about {max(1, request.least - accepted)} will be run" if slate else ""
    return f"{budget_words(request)}Propose exactly {wanted} {plural} now{some}."
