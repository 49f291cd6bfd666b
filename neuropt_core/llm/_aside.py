"""What is told beside the study's own trials: the best of an earlier study, and proposals that were not run."""

from __future__ import annotations

import json
from collections.abc import Mapping

from neuropt_core.advice import Request
from neuropt_core.llm._goal import score_words
from neuropt_core.llm._rows import params_words
from neuropt_core.llm._text import tidy
from neuropt_core.llm.schema import Slot, slots

_EARLIER, _CHANGED = 5, 12
_WHY = 160


def earlier_lines(request: Request) -> list[str]:
    """Returns the best trials of the study from which this one starts warm, a line each; empty if there is none."""
    spec = request.spec
    # Another study may have had another number of objectives; such scores cannot be put in this one's order.
    alike = [t for t in request.earlier if len(t.values) == len(spec.directions)]
    best = spec.ranked(alike)[:_EARLIER]
    if not best:
        return []
    fields = {slot.parameter.name: slot for slot in slots(spec.space)}
    own = spec.space.defaults()
    return [
        "An earlier study, with numbers of its own (E1 is no trial of this study, and not to be named as a parent); "
        f"the best of its {len(request.earlier)} trials (what differs from the user's own values | score):",
        *(f"E{t.number} {params_words(t.params, own, fields, _CHANGED)} | {score_words(t, spec)}" for t in best),
    ]


def rejected_lines(request: Request, fields: Mapping[str, Slot], changed: int) -> list[str]:
    """Returns the model's own proposals that were not run, the latest first, each with the rule that refused it."""
    base = request.trials[0].params if request.trials else {}
    return [
        f"before #{r.number}: {params_words(r.proposal.params, base, fields, changed)} | {tidy(r.rule, 40)}: "
        f"{json.dumps(tidy(r.why, _WHY), ensure_ascii=False)}"
        for r in reversed(request.rejected)
        if r.proposal.source == "llm"
    ]
