"""Which keys of the user's config are the learning rate, the weight decay and the optimizer."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

from neuropt_core.errors import ConfigError
from neuropt_core.space import Categorical, Float, Parameter, Value, When

ROLES = ("lr", "wd", "optimizer")
_LEAVES = {"lr": ("lr", "learning_rate"), "wd": ("weight_decay", "wd")}
_HOMES = ("optimizer", "optim", "opt", "")
"""Where a key is looked for first; elsewhere it must be the only one of its name."""
_OPTIMIZERS = ("torch.optim.AdamW", "torch.optim.SGD")
_SHARED = {"_target_", "_partial_", "_recursive_", "_convert_", "lr", "weight_decay", "foreach", "maximize"}
"""Arguments that every optimizer offered takes, so that one can replace the other without leftovers."""


def leaves(config: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields the dotted key and the value of every leaf."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def bind(
    config: Mapping[str, object],
    wished: Mapping[str, str | None],
    *,
    raw: Mapping[str, object] | None = None,
    own: Collection[str] = (),
) -> dict[str, str]:
    """Returns role -> key.

    Args:
        config: The job's config as plain data, interpolations resolved.
        wished: ``hydra.sweeper.bind``: a key, None to leave the role out, or ``auto``.
        raw: The same with interpolations as written: a role whose value is ``${base_lr}`` is bound to ``base_lr``,
            so that everything else that reads it moves along.
        own: Keys that the user searches or fixes himself; those are not looked through.

    Raises:
        ConfigError: A wish names a key that the config does not have, or several keys could be meant.
    """
    keys, written = dict(leaves(config)), dict(leaves(raw or {}))
    bound: dict[str, str] = {}
    for role in ROLES:
        key = wished.get(role, "auto")
        if key == "auto":
            key = _find(role, keys)
            while key is not None and key not in own and (source := source_of(written.get(key))) in keys:
                key = source
        elif key is not None and key not in keys:
            where = f"hydra.sweeper.bind.{role}"
            raise ConfigError(where, "must be a key of the config", got=key, mend=near(key, keys))
        if key is not None:
            bound[role] = key
    return bound


def source_of(value: object) -> str:
    """Returns ``a.b`` for the text ``${a.b}``, else an empty string."""
    return value[2:-1] if isinstance(value, str) and re.fullmatch(r"\$\{[\w.]+\}", value) else ""


def near(name: object, names: Mapping[str, object]) -> str:
    """Returns a hint at what the user may have meant."""
    close = get_close_matches(str(name), names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(close)}?" if close else "See `python train.py --cfg job` for the keys."


def _find(role: str, keys: Mapping[str, object]) -> str | None:
    if role == "optimizer":
        candidates = [k for k, v in keys.items() if k.endswith("._target_") and _is_optimizer(v)]
    else:
        names = [f"{home}.{leaf}".lstrip(".") for home in _HOMES for leaf in _LEAVES[role]]
        first = next((name for name in names if name in keys), None)
        if first is not None:
            return first
        candidates = [k for k, v in keys.items() if k.rpartition(".")[2] in _LEAVES[role] and _is_number(v)]
    if len(candidates) > 1:
        raise ConfigError(
            f"hydra.sweeper.bind.{role}",
            f"several keys could be meant: {', '.join(candidates)}",
            mend=f"Name one: hydra.sweeper.bind.{role}={candidates[0]}, or null to leave it alone.",
        )
    return candidates[0] if candidates else None


def _is_optimizer(value: object) -> bool:
    return isinstance(value, str) and value.startswith("torch.optim.") and "lr_scheduler" not in value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def role_parameters(
    config: Mapping[str, object], bound: Mapping[str, str], *, pretrained: bool, unbound: Collection[str] = ()
) -> list[Parameter]:
    """Returns the parameters of the bound roles, the user's present values as their defaults.

    A role in `unbound` has no key in the config, but a script that calls `Tuning.param_groups`, which reads
    ``neuropt.lr`` and ``neuropt.wd`` in place of what the script passes; they have no default.

    Ranges: for AdamW 1e-5 to 1e-2 where weights were loaded (above 3e-3 fine-tuning collapsed in our measurements)
    and to 1e-1 from scratch; ten times more at the top where SGD is in play; always widened to a factor of ten
    around the user's own value.

    Raises:
        ConfigError: A bound key holds no number, or no optimizer of torch.
    """
    keys = dict(leaves(config))
    optimizer = _optimizer(keys, bound["optimizer"]) if "optimizer" in bound else []
    parameters: list[Parameter] = []
    if "lr" in bound:
        top = 1e-2 if pretrained else 1e-1
        parameters.append(_rate("lr", bound["lr"], keys, 1e-5, top * 10 if optimizer and pretrained else top))
    elif "lr" in unbound:
        parameters.append(Float(name="neuropt.lr", low=1e-5, high=1e-2 if pretrained else 1e-1, log=True, role="lr"))
    if "wd" in bound:
        parameters.append(_decay(bound["wd"], keys))
    elif "wd" in unbound:
        parameters.append(Float(name="neuropt.wd", low=1e-5, high=3e-1, log=True, role="wd"))
    return parameters + optimizer


def _rate(role: str, key: str, keys: Mapping[str, object], low: float, high: float) -> Parameter:
    value = _number(key, keys)
    if value <= 0:
        raise ConfigError(key, "must be above 0 to be searched on a log scale", got=value)
    low, high = min(low, value / 10), max(high, value * 10)
    return Float(name=key, low=low, high=high, log=True, default=value, has_default=True, role=role)


def _decay(key: str, keys: Mapping[str, object]) -> Parameter:
    value = _number(key, keys)
    if value > 0:
        return _rate("wd", key, keys, 1e-5, 3e-1)
    # A log scale has no zero, and zero is what the user has.
    return Float(name=key, low=0.0, high=0.3, default=value, has_default=True, role="wd")


def _number(key: str, keys: Mapping[str, object]) -> float:
    value = keys[key]
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ConfigError(key, "must be a number to be searched", got=value, mend="Bind another key, or null.")
    return float(value)


def _optimizer(keys: Mapping[str, object], key: str) -> list[Parameter]:
    """Returns the optimizer's parameter and SGD's momentum; nothing where the config's arguments fit one class only."""
    present = keys[key]
    if not _is_optimizer(present):
        raise ConfigError(key, "must hold a torch.optim class to be searched", got=present, mend="Bind null instead.")
    home = key.removesuffix("_target_")
    siblings = {name.removeprefix(home) for name in keys if name.startswith(home)}
    if not siblings <= _SHARED:
        return []
    choices: tuple[Value, ...] = tuple(dict.fromkeys((str(present), *_OPTIMIZERS)))
    search = Categorical(name=key, choices=choices, default=str(present), has_default=True, role="optimizer")
    momentum = Float(
        name=f"{home}momentum",
        low=0.0,
        high=0.99,
        default=0.0 if present == "torch.optim.SGD" else 0.9,  # torch's own default, where that is what runs now
        has_default=True,
        when=(When(key, ("torch.optim.SGD",)),),
        role="momentum",
    )
    return [search, momentum]
