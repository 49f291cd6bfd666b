"""`neuropt inspect`: what a sweep would find in a model, and what it would search; nothing is trained or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from neuropt_core.cli._footprint import MADE, Footprint, footprints
from neuropt_core.cli._rehearsal import rehearsal
from neuropt_core.cli._target import Target
from neuropt_core.errors import NeuroptError
from neuropt_core.profile import ModelProfile, scaled
from neuropt_core.sinks.base import quoted
from neuropt_core.sinks.space_table import names, space_table, touched_table
from neuropt_core.sinks.tables import Heading, Item, Table
from neuropt_core.sinks.text import first_sentence, literal
from neuropt_core.space import SearchSpace

VERSION = 1
"""Of the JSON's form: it grows by new keys under the same number, and changes by a new one."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        target: What was looked at, as it was named.
        kind: ``script``, ``config`` or ``factory``.
        profile: What introspection found; None where there is no model, or it could not be looked into.
        space: What would be searched.
        notes: Lines of the sweeper's that no table holds.
        bound: Role -> the key of the config that has it.
        advisor: Who would advise, in words.
        where: Where trials would run, in words.
        cost: What advice would cost, in words.
        n_trials: Trials of the study.
        trials: The first trials: number, source, overrides, command and rationale.
        batch_size: Samples, for the estimates of memory.
    """

    target: str
    kind: str
    profile: ModelProfile | None
    space: SearchSpace
    notes: tuple[str, ...]
    bound: Mapping[str, str]
    advisor: str
    where: str
    cost: str
    n_trials: int
    trials: tuple[Mapping[str, Any], ...]
    batch_size: int

    @property
    def memory(self) -> tuple[Footprint, ...]:
        """The memory that training is estimated to take, for each freeze strategy."""
        return footprints(self.profile, self.batch_size)

    def to_json(self) -> dict[str, Any]:
        """Returns all of it as plain data; docs/cli.md names the keys."""
        model = None
        if self.profile is not None:
            model = {k: v for k, v in self.profile.to_json().items() if k not in ("offered", "left_out", "touched")}
        found = self.profile or ModelProfile("", 0)
        return {
            "version": VERSION,
            "target": self.target,
            "kind": self.kind,
            "model": model,
            "space": self.space.to_json(),
            "touched": [asdict(item) for item in found.touched],
            "left_out": dict(found.left_out),
            "bound": dict(self.bound),
            "memory": {
                "batch_size": self.batch_size,
                "made_of": MADE,
                "strategies": [{**asdict(item), "total": item.total} for item in self.memory],
            },
            "advisor": self.advisor,
            "cost": self.cost,
            "where": self.where,
            "n_trials": self.n_trials,
            "trials": [dict(trial) for trial in self.trials],
            "notes": list(self.notes),
        }


def inspected(text: str, target: Target, *, batch_size: int) -> Inspection:
    """Looks at a target in a child process.

    Raises:
        NeuroptError: It cannot be composed, imported or built; the text is one sentence.
    """
    try:
        data = rehearsal(target.start, target.overrides, text, target.environ)
    except NeuroptError as error:
        raise _in_our_words(error, text, target) from None
    found = data["inspection"]
    profile = None if found["profile"] is None else ModelProfile.from_json(found["profile"])
    if profile is None and target.kind == "factory":
        raise NeuroptError(text, " ".join(found["said"][:1]).removeprefix(_FAILED).strip())
    return Inspection(
        text,
        target.kind,
        profile,
        SearchSpace.from_json(found["space"]),
        (*_notes(found["said"]), *_assumed(target.kind, profile, found["space"])),
        found["bound"],
        found["advisor"],
        found["where"],
        found["cost"],
        data["n_trials"],
        tuple(found["trials"]),
        batch_size,
    )


_EMPTY = "search space: is empty: no model was introspected ("
_FAILED = "Introspection failed, and only lr, wd, optimizer and your own parameters are searched."


def _assumed(kind: str, profile: ModelProfile | None, space: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yields what only a script could tell, and is taken for granted."""
    read = [item["name"] for item in space if str(item["name"]).startswith("neuropt.")]
    if kind == "config" and profile is not None and read:
        yield "Taken for granted: your script builds the model with neuropt_core.build (README, step 2)."
    if kind == "factory" and {"neuropt.lr", "neuropt.wd"} & {*read}:
        yield "In a sweep, the keys of your own config stand in the place of neuropt.lr and neuropt.wd."


def _in_our_words(error: NeuroptError, text: str, target: Target) -> NeuroptError:
    """Returns the error of a dry run without what is said of keys that the user never wrote."""
    told = str(error).removeprefix(f"{text}: ").removeprefix("its dry run failed: ").removeprefix("neuropt: ")
    if target.kind == "factory":
        # A space without a model is empty, and why there is no model is what matters.
        told = told.removeprefix(_EMPTY).partition("), no lr, ")[0] if told.startswith(_EMPTY) else told
        for where in (text, text.replace(":", "."), "model"):
            told = told.removeprefix(f"{where}: ")
        lacks = "missing" in told and "argument" in told
        return NeuroptError(text, told.rstrip("."), mend="Give its arguments as key=value." if lacks else "")
    lost = target.kind == "config" and "No module named" in told
    mend = "Run it from the folder of your script, or set PYTHONPATH to that." if lost else ""
    return NeuroptError(text, told.rstrip("."), mend=mend)


def _notes(said: list[str]) -> tuple[str, ...]:
    """Returns the lines of the sweeper's that no table holds."""
    lines = [line.strip() for text in said if not text.startswith("Introspected ") for line in text.splitlines()]
    return tuple(line for line in lines if not line.startswith(("Search space: ", "Bound: ")))


def items(found: Inspection, *, full: bool = False) -> list[Item]:
    """Returns what is shown to a person.

    Args:
        found: What was found.
        full: Whether every layer is named.
    """
    profile = found.profile
    return [
        *([] if profile is None else _model(profile)),
        *_noted(found.notes),
        Heading(f"Search space: {len(found.space)} parameters"),
        space_table(found.space.parameters),
        *([] if profile is None else _closer(profile, full=full)),
        *_memory(found),
        Heading("How a sweep would go"),
        Table(
            [
                ("what", "how"),
                *(("bound", f"{role} = {key}") for role, key in found.bound.items()),
                ("advisor", found.advisor),
                ("advice", found.cost.removeprefix("Cost of advice: ").removesuffix(".")),
                ("trials", f"{found.n_trials}: {found.where.splitlines()[0] if found.where else '-'}"),
                *(("", line.strip()) for line in found.where.splitlines()[1:]),
            ]
        ),
        Heading("First trials"),
        *_trials(found),
    ]


def _noted(notes: tuple[str, ...]) -> list[Item]:
    return [Heading("Notes"), *(f"  {note}" for note in notes)] if notes else []


def _model(profile: ModelProfile) -> list[Item]:
    if profile.estimator is not None:
        arguments = [("argument", "now"), *((name, now) for name, now in profile.estimator.arguments.items())]
        return [Heading(f"Model: {profile.target}, {profile.estimator.title}"), Table(arguments)]
    found = profile.pretrained
    verdict = f"{'yes' if found.verdict else 'no'}{'' if found.certain else ', but the evidence is thin'}"
    kinds = {
        "activations": profile.activations,
        "norms": profile.norms,
        "dropout": profile.dropouts,
        "pooling": profile.pools,
        "calls in code": profile.functional,
    }
    rows = [
        ("what", "found"),
        ("parameters", f"{profile.parameters:,}"),
        *((name, ", ".join(f"{kind} x {count}" for kind, count in counts.items())) for name, counts in kinds.items()),
        ("head", ", ".join(profile.head) or "none found"),
        ("pretrained", verdict),
        *(("", reason) for reason in found.reasons),
    ]
    if profile.facts is not None:
        rows += zip(("costs", "made of"), profile.facts.lines(), strict=True)
    shown: list[Item] = [Heading(f"Model: {profile.target}"), Table([row for row in rows if row[1]])]
    if profile.groups:
        whole = max(1, sum(group.parameters for group in profile.groups))
        groups = [
            (str(depth), g.name, str(g.tensors), f"{g.parameters:,}", f"{100 * g.parameters / whole:.3g} %")
            for depth, g in enumerate(profile.groups)
        ]
        titles = ("depth", "group", "tensors", "parameters", "share")
        shown += [Heading("Depth groups, stem first"), Table([titles, *groups], right=frozenset((0, 2, 3, 4)))]
    return shown


def _closer(profile: ModelProfile, *, full: bool) -> list[Item]:
    shown: list[Item] = []
    if profile.touched:
        cut = not full and any("more" in names(item.paths).split() for item in profile.touched)
        more = " (--full names all layers)" if cut else ""
        shown += [Heading(f"What each setting touches{more}"), touched_table(profile.touched, full=full)]
    if profile.left_out:
        rows = [("left out", "why"), *profile.left_out.items()]
        shown += [Heading("Left out"), Table(rows)]
    return shown


def _memory(found: Inspection) -> list[Item]:
    memory = found.memory
    if not memory:
        return []
    titles = ("strategy", "trains", "weights", "gradients", "Adam", "activations", "all")
    rows = [
        (
            item.strategy,
            f"{100 * item.trained:.3g} %",
            *(
                "-" if count is None else f"{scaled(count)}B"
                for count in (item.weights, item.gradients, item.optimizer, item.activations, item.total)
            ),
        )
        for item in memory
    ]
    title = f"Memory to train with a batch of {found.batch_size}, an estimate"
    return [Heading(title), Table([titles, *rows], right=frozenset(range(1, 7))), f"  {MADE}"]


def _trials(found: Inspection) -> list[Item]:
    said = []
    for trial in found.trials:
        own = trial["number"] == 0
        what = trial["command"] if found.kind == "script" else " ".join(map(quoted, trial["overrides"]))
        if found.kind == "factory":
            what = ", ".join(f"{name}={literal(value)}" for name, value in trial["params"].items())
        why = "your own configuration" if own else f"{trial['source']}: {first_sentence(trial['rationale'])}"
        said.append(f"  {trial['number']}  {why}\n     {what or '(as it is)'}")
    return list(said)
