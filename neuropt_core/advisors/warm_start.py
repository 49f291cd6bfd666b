"""What the trials of an earlier study are worth in this one: which fit, and by how much their scores are shifted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from neuropt_core.advisors._evidence import Evidence, evidence
from neuropt_core.advisors._tried import key_of
from neuropt_core.earlier import fitted
from neuropt_core.space import SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial, TrialState

_COMPARED = 100
"""How many of this study's first trials are compared with the earlier ones: the baseline and what the user listed."""


@dataclass(frozen=True, slots=True)
class WarmStart:
    """The trials of an earlier study, made fit for this one.

    Attributes:
        entries: One for each configuration that fits, oldest first, with negative numbers and its own scores.
        left_out: How many trials fit nowhere: a parameter has neither a value nor a default that is legal here.
        baseline: The scores of the earlier study's trial 0; empty where it has none.
    """

    entries: tuple[Evidence, ...] = ()
    left_out: int = 0
    baseline: tuple[float, ...] = ()

    @classmethod
    def of(cls, spec: StudySpec, earlier: Sequence[Trial]) -> WarmStart:
        """Reads the trials of an earlier study; those that run, or whose machine failed, say nothing and count not.

        A parameter that the earlier study did not search takes its default here; one that this study does not search
        is dropped, since its effect is much the same on all trials that are compared and goes with the shift.
        """
        several = len(spec.directions)
        groups: dict[object, list[Trial]] = {}
        left_out = 0
        for trial in earlier:
            if not trial.teaches:
                continue
            fitting = fitted(trial, spec.space)
            if fitting is None or (trial.values and len(trial.values) != several):
                left_out += 1
                continue
            groups.setdefault(key_of(fitting.params), []).append(fitting)
        found = [evidence(group, spec.constraints) for group in groups.values()]
        found.sort(key=lambda entry: entry.number)
        entries = (replace(entry, number=i - len(found)) for i, entry in enumerate(found))
        first = next((t.values for t in earlier if t.number == 0), ())
        return cls(tuple(entries), left_out, first if len(first) == several else ())

    def differences(self, own: Evidence, space: SearchSpace) -> list[tuple[float, ...]]:
        """Returns this study's score less the earlier one's for each earlier configuration like `own`."""
        if not own.values or own.number >= _COMPARED:
            return []
        alike = (e for e in self.entries if e.values and space.alike(e.params, own.params))
        return [tuple(a - b for a, b in zip(own.values, e.values, strict=True)) for e in alike]


def shift(
    pairs: Iterable[tuple[float, ...]], earlier: tuple[float, ...], own: tuple[float, ...]
) -> tuple[float, ...] | None:
    """Returns what is added to earlier scores to compare them with this study's; None if that cannot be told.

    The two studies may have had other data, other epochs or another seed, which moves all scores alike, roughly.

    Args:
        pairs: The differences of scores over configurations that both studies tried; their median is the shift.
        earlier: The scores of the earlier baseline: without pairs the difference of the two baselines is the shift.
        own: Those of this study's baseline.
    """
    columns = list(zip(*pairs, strict=True))
    if columns:
        return tuple(map(median, columns))
    return tuple(a - b for a, b in zip(own, earlier, strict=True)) if own and earlier else None


def shifted(entry: Evidence, by: tuple[float, ...]) -> Evidence:
    """Returns the entry with its scores shifted; one without a score stays as it is."""
    if entry.state is not TrialState.COMPLETE:
        return entry
    return replace(entry, values=tuple(a + b for a, b in zip(entry.values, by, strict=True)))
