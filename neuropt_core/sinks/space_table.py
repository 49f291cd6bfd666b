"""A search space, and what its settings work on, as tables: one rendering for `neuropt inspect` and the dry run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from neuropt_core.profile import Touched
from neuropt_core.sinks.tables import Table
from neuropt_core.sinks.text import literal
from neuropt_core.space import Categorical, Parameter, Value, When

PURPOSES = {
    "lr": "step size",
    "wd": "weight decay",
    "optimizer": "which optimizer",
    "momentum": "momentum of the optimizer",
    "activation": "hidden activations",
    "dropout": "rate of dropout",
    "dropout_attention": "dropout of attention",
    "dropout_mlp": "dropout of feed-forward parts",
    "dropout_embedding": "dropout of embeddings",
    "dropout_head": "dropout of the head",
    "mha_dropout": "dropout inside attention",
    "drop_path": "stochastic depth",
    "use_batchnorm": "keep or remove BatchNorm",
    "use_layernorm": "keep or remove LayerNorm",
    "pool_type": "global pooling",
    "freeze_strategy": "what trains, what is frozen",
    "lp_ft_share": "how long the head trains alone",
    "lora_rank": "size of low-rank additions",
    "lr_layer_decay": "lower rates towards the stem",
    "head_lr_mult": "a faster head",
    "l2sp_regularization": "stay near the loaded weights",
    "l2sp_strength": "how hard it pulls",
    "bn_mode": "BatchNorm's running statistics",
    "label_smoothing": "soften the targets",
    "warmup_share": "linear warm-up",
    "ema_decay": "average the weights",
}
"""Role -> what the parameter is for, in a few words."""

TITLES = ("parameter", "type", "range or choices", "now", "only if", "role", "for")
_FEW = 3


def space_table(parameters: Iterable[Parameter]) -> Table:
    """Returns a search space with one row a parameter: see `TITLES`.

    ``now`` is the present value, with which trial 0 runs; ``-`` where the config holds none.
    """
    known = tuple(parameters)
    choices = {p.name: p.choices for p in known if isinstance(p, Categorical)}
    return Table([TITLES, *(_row(parameter, choices) for parameter in known)])


def touched_table(touched: Iterable[Touched], *, full: bool = False) -> Table:
    """Returns what each setting works on.

    Args:
        touched: What introspection found.
        full: Whether every layer is named, not only the first three.
    """
    rows = [
        (
            item.name,
            "any" if item.value is None else literal(item.value),
            item.what,
            str(len(item.paths)) if item.paths else "-",
            "-" if item.parameters is None else f"{item.parameters:,}",
            names(item.paths, full=full),
        )
        for item in touched
    ]
    titles = ("setting", "value", "what happens", "layers", "parameters", "where")
    return Table([titles, *rows], right=frozenset((3, 4)))


def names(paths: Sequence[str], *, full: bool = False) -> str:
    """Returns module paths for a reader; the model itself, whose path is empty, as ``(model)``."""
    shown = [path or "(model)" for path in (paths if full else paths[:_FEW])]
    return ", ".join([*shown, *([f"and {len(paths) - _FEW} more"] if len(paths) > len(shown) else [])])


def span(parameter: Parameter) -> str:
    """Returns where a parameter may lie, e.g. ``1e-05 .. 0.1``, ``4 .. 64`` or ``relu | gelu``."""
    if isinstance(parameter, Categorical):
        return " | ".join(map(literal, parameter.choices))
    return f"{parameter.low:g} .. {parameter.high:g}"


def condition(when: Sequence[When], choices: Mapping[str, Sequence[Value]]) -> str:
    """Returns the conditions of a parameter, e.g. ``optimizer = sgd`` or ``neuropt.freeze_strategy != head_only``.

    Args:
        when: The conditions.
        choices: Name of each categorical parameter -> its choices, so that the shorter side can be told.
    """
    found = []
    for one in when:
        others = [value for value in choices.get(one.name, ()) if value not in one.values]
        sign, told = ("!=", others) if 0 < len(others) < len(one.values) else ("=", one.values)
        found.append(f"{one.name} {sign} {' | '.join(map(literal, told))}")
    return " and ".join(found)


def _row(parameter: Parameter, choices: Mapping[str, Sequence[Value]]) -> tuple[str, ...]:
    kind: str = "choice" if isinstance(parameter, Categorical) else parameter.type
    if not isinstance(parameter, Categorical):
        step = getattr(parameter, "step", 1)
        kind += (", log" if parameter.log else "") + (f", step {step}" if step != 1 else "")
    now = literal(parameter.default) if parameter.has_default else "-"
    purpose = "; ".join(filter(None, (PURPOSES.get(parameter.role, ""), parameter.note)))
    return (
        parameter.name,
        kind,
        span(parameter),
        now,
        condition(parameter.when, choices) or "-",
        # A role that is the name's own last word would be said twice.
        parameter.role if parameter.role and parameter.role != parameter.name.rpartition(".")[2] else "-",
        purpose or "-",
    )
