"""What the tables of estimators are made of: an argument, where it may be searched, and on what that depends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neuropt_core.space import Value

Needs = tuple[tuple[str, tuple[Value, ...]], ...]
"""Pairs of an argument and the values that it must have one of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One argument of an estimator and where it is searched.

    A present value that is a number on the scale makes it a number in [low, high], widened so that the value lies
    within. Any other present value (a word, None, or 0 on a log scale) makes it a choice among `words` and `points`,
    the present value included. So ``max_depth=None`` of a forest is searched as None, 3, 5 ..., and ``max_depth=8`` as
    a whole number.

    Attributes:
        argument: Its name in ``get_params()``.
        low: Lower end; None for what is only ever a choice.
        high: Upper end.
        log: Whether its scale is logarithmic.
        whole: Whether it takes whole numbers only.
        share: Whether a whole number is a count and a real one a share, as in scikit-learn; only shares are searched.
        words: Choices that are no numbers on the scale: names, None, 0 where the scale is logarithmic.
        points: Numbers that stand for the scale where `words` are in play.
        unset: What None amounts to by the library's documentation; None where None is a value of its own.
        role: What a rule of thumb knows it by: a family and a name with a dot between, or a role of any training.
        needs: Present values without which it is not searched.
        when: Values of other arguments under which it counts; a condition of the space where those are searched.
        never: Present values that leave it out.
        why_not: The reason in words where `needs` is not met; "" for the usual words.
        wide: Whether it is searched with ``space=wide`` only.
        aliases: Other names that the library takes for it; the one that the user wrote is searched.
        note: For the reader and the advisor.
        source: Where the range is written.
    """

    argument: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    share: bool = False
    words: tuple[Value, ...] = ()
    points: tuple[Value, ...] = ()
    unset: Value = None
    role: str
    needs: Needs = ()
    when: Needs = ()
    never: tuple[Value, ...] = ()
    why_not: str = ""
    wide: bool = False
    aliases: tuple[str, ...] = ()
    note: str = ""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Estimators that share their arguments.

    Attributes:
        name: What they are called in a table.
        library: The root of the module that defines them, e.g. ``sklearn``.
        classes: Names of the classes; their subclasses belong to the family too.
        rows: What is searched, the most worthwhile first, a condition's argument before what depends on it.
        reasons: Argument -> why it is not searched, beyond the `REASONS` of all.
    """

    name: str
    library: str
    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


_CHANCE = "it is the seed of chance, and no setting is better for a lucky one"
_COMPUTED = "it says how the computer works, not what is learnt"
_ENDS = "it says how long or how exactly the fit is computed; raise it where the library warns"
REASONS: Mapping[str, str] = {
    **dict.fromkeys(("random_state", "seed"), _CHANCE),
    **dict.fromkeys(
        ("n_jobs", "nthread", "num_threads", "verbose", "verbosity", "warm_start", "copy_X", "copy", "cache_size",
         "device", "memory", "transform_input", "importance_type", "validate_parameters", "precompute", "oob_score"),
        _COMPUTED,
    ),
    **dict.fromkeys(("tol", "max_iter", "max_fun", "n_iter_no_change", "validation_fraction", "algorithm",
                     "leaf_size", "shrinking", "selection", "dual"), _ENDS),
}  # fmt: skip
"""Argument -> why no estimator's is searched, unless its family has a row of that name."""

TUNABILITY = "Probst, Boulesteix and Bischl 2019 (Tunability), JMLR 20(53), table 1"
FOREST = "Probst, Wright and Boulesteix 2019, arXiv:1804.03515, section 2"
