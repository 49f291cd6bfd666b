"""What has changed between two commands of one study, in words, and which of its trials still fit after it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neuropt_core.redact import GONE, alike, redact, redact_data, redact_override, secrets_of
from neuropt_core.space import Categorical, Float, Int, Parameter, SearchSpace, Value
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Trial

SHOWN = 12
"""So many differences are written out; of more, their number is told."""
_LONGEST = 60
_PATH = re.compile(r"(/|~|[A-Za-z]:\\|file://)\S")
_UNKNOWN: Any = object()


@dataclass(frozen=True, slots=True)
class Setup:
    """What else makes a study's trials what they are, beside its spec.

    Attributes:
        config: The user's config of trial 0, dotted key -> plain value, interpolations as they are written and secrets
            redacted (see `leaves_of`); None where it is not known, as in journals of before it was kept.
        enqueue: ``hydra.sweeper.enqueue`` as it is written.
        seed_key: The key of the job's own seed; None where none is used.
    """

    config: Mapping[str, Any] | None = None
    enqueue: tuple[Any, ...] = ()
    seed_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal setup; nothing where the config is not known."""
        if self.config is None:
            return {}
        return {"config": dict(self.config), "enqueue": list(self.enqueue), "seed_key": self.seed_key}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Setup:
        """Makes the setup that `to_json` described."""
        return cls(data.get("config"), tuple(data.get("enqueue", ())), data.get("seed_key"))


@dataclass(frozen=True, slots=True)
class Era:
    """What a study stood on when some of its trials were asked."""

    space: SearchSpace
    setup: Setup = field(default_factory=Setup)


def leaves_of(config: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Returns a config as dotted key -> plain value, fit for the journal.

    A list is one value, and so is an empty node. What JSON has no word for is kept as text; what looks like a secret,
    by its value, by its key or because a variable of `environ` with a telling name holds it, as ``[redacted]`` (see
    `redact.redact_data`). Of absolute paths, which may name people, only a hash is kept.
    """
    secrets = secrets_of(environ)
    return {key: _plain(value, secrets) for key, value in _leaves(redact_data(config, secrets))}


def differences(old: StudySpec, then: Setup, new: StudySpec, now: Setup) -> tuple[str, ...]:
    """Returns what has changed of what defines a study, in words; of a config that is not known, nothing.

    What a parameter's own entry says is not said again of the config's key, nor is what an override of the command line
    has changed. What is redacted on either side is no difference: a secret may be another one, or come from elsewhere.
    """
    said = list(_of_spaces(old.space, new.space))
    if old.directions != new.directions:
        said.append(f"direction: {', '.join(old.directions)} -> {', '.join(new.directions)}")
    if old.constraints != new.constraints:
        said.append(f"constraints: {_listed(old.constraints)} -> {_listed(new.constraints)}")
    if old.seed != new.seed:
        said.append(f"seed: {old.seed} -> {new.seed}")
    line, moved = _of_lines(old.fixed, new.fixed)
    said += line
    known = then.config is not None and now.config is not None
    if not known and not line and [*map(_key, old.fixed)] != [*map(_key, new.fixed)]:
        said.append("command line: the same overrides in another order")
    for name in dict.fromkeys((*old.hints, *new.hints)):
        if old.hints.get(name) != new.hints.get(name):
            said.append(f"priors: {name} {_word(name in old.hints, name in new.hints)}")
    if known:
        if then.enqueue != now.enqueue:
            said.append(f"enqueue: {_short(list(then.enqueue))} -> {_short(list(now.enqueue))}")
        if then.seed_key != now.seed_key:
            said.append(f"seed_key: {then.seed_key} -> {now.seed_key}")
        told = {name for name in old.space.names if name in new.space} | moved
        said += _of_configs(then.config or {}, now.config or {}, told)
    return tuple(said)


def in_words(said: Iterable[str]) -> str:
    """Returns differences in one line, the first `SHOWN` written out."""
    every = list(said)
    more = [f"and {len(every) - SHOWN} more"] if len(every) > SHOWN else []
    return "; ".join([*every[:SHOWN], *more])


def fit(trial: Trial, then: Era, now: Era) -> Trial | None:
    """Returns a trial of an earlier space as one of the present space; None if it is no point of it.

    A parameter that is searched only now gets the value that the config had then. One that is no longer searched is
    left out if the trial's value is the one that holds now: with another one the trial is of another study. A value
    that cannot be told is never guessed. What was the user's own configuration, and no longer is, is told so.
    """
    params: dict[str, Value] = {}
    for parameter in now.space.parameters:
        name = parameter.name
        value = trial.params.get(name, _UNKNOWN)
        if name not in then.space:
            value = _held(parameter, then.setup.config, now.setup.config)
        if value is not _UNKNOWN and now.space.is_active(name, params):
            params[name] = value
    for name, value in trial.params.items():
        if name not in params and not _same(_held(then.space[name], now.setup.config, then.setup.config), value):
            return None
    own = trial.proposal.source == "default"
    if own and params == now.space.defaults():
        return replace(trial, proposal=replace(trial.proposal, params=params))
    if now.space.check(params):
        return None
    proposal = replace(trial.proposal, params=params)
    if own:
        proposal = replace(proposal, source="user", rationale="It was your own configuration before you changed it.")
    return replace(trial, proposal=proposal)


def _held(parameter: Parameter, here: Mapping[str, Any] | None, there: Mapping[str, Any] | None) -> Any:
    """Returns the value of a parameter that is not searched `here`, but `there`; `_UNKNOWN` if it cannot be told."""
    if here is None or there is None:
        return _UNKNOWN
    name = parameter.name
    value = here.get(name, _UNKNOWN)
    if isinstance(value, (bool, int, float, type(None))) or (isinstance(value, str) and "${" not in value):
        return value
    # What the config does not say plainly, or not at all (a config group, or what neuropt adds), is what the other side
    # found, if nothing it may depend on has changed.
    unchanged = _under(here, name) == _under(there, name) if value is _UNKNOWN else here == there
    return parameter.default if unchanged and parameter.has_default else _UNKNOWN


def _under(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if f"{key}.".startswith(f"{name}.")}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _alike(one: Any, other: Any) -> bool:
    texts = [value if isinstance(value, str) else json.dumps(value, default=str) for value in (one, other)]
    return any(GONE in text for text in texts) and alike(*texts)


def _of_spaces(old: SearchSpace, new: SearchSpace) -> Iterator[str]:
    for name in dict.fromkeys((*old.names, *new.names)):
        if name not in old or name not in new:
            yield f"{'added' if name in new else 'removed'} {name}"
            continue
        before, after = old[name], new[name]
        if _range(before) != _range(after):
            yield f"{name}: {_range(before)} -> {_range(after)}"
        if _default(before) != _default(after):
            yield f"{name}: own value {_default(before)} -> {_default(after)}"
        if before.when != after.when:
            yield f"{name}: {_when(before)} -> {_when(after)}"
        if before.role != after.role:
            yield f"{name}: its role {before.role or 'none'} -> {after.role or 'none'}"
    kept = [name for name in old.names if name in new]
    if kept != [name for name in new.names if name in old]:
        yield "the parameters stand in another order"


def _range(parameter: Parameter) -> str:
    if isinstance(parameter, Categorical):
        return f"choice({', '.join(_short(choice, quote=True) for choice in parameter.choices)})"
    step = f" step {parameter.step}" if isinstance(parameter, Int) and parameter.step != 1 else ""
    whole = " whole numbers" if isinstance(parameter, Int) else ""
    ends = f"{parameter.low!r}..{parameter.high!r}"
    if isinstance(parameter, Float):
        ends = f"{float(parameter.low)!r}..{float(parameter.high)!r}"
    return f"{ends}{whole}{' log' if parameter.log else ''}{step}"


def _default(parameter: Parameter) -> str:
    return _short(parameter.default, quote=True) if parameter.has_default else "none"


def _when(parameter: Parameter) -> str:
    stated = [f"{c.name} is {' or '.join(_short(v, quote=True) for v in c.values)}" for c in parameter.when]
    return f"only where {' and '.join(stated)}" if stated else "always"


def _of_lines(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[list[str], set[str]]:
    """Returns what differs between the overrides of two command lines, and the keys of those that do."""
    before = {_key(text): redact_override(text) for text in old}
    after = {_key(text): redact_override(text) for text in new}
    said, moved = [], set()
    for key in dict.fromkeys((*before, *after)):
        if key in before and key in after and alike(before[key], after[key]):
            continue
        moved.add(key)
        shown = [side[key][:_LONGEST] for side in (before, after) if key in side]
        what = " -> ".join(shown) if len(shown) == 2 else f"{shown[0]} {_word(key in before, key in after)}"
        said.append(f"command line: {what}")
    return said, moved


def _of_configs(old: Mapping[str, Any], new: Mapping[str, Any], told: set[str]) -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        if any(f"{key}.".startswith(f"{name}.") for name in told):
            continue
        if key not in old or key not in new:
            yield f"config: {key} {_word(key in old, key in new)}"
        elif not (_same(old[key], new[key]) or _alike(old[key], new[key])):
            yield f"config: {key}: {_short(old[key])} -> {_short(new[key])}"


def _word(was: bool, is_now: bool) -> str:
    return "changed" if was and is_now else "added" if is_now else "removed"


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "none"


def _short(value: Any, *, quote: bool = False) -> str:
    text = value if isinstance(value, str) and not quote else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _leaves(config: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _plain(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, secrets) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    text = redact(str(value), *secrets)
    if _PATH.match(text):
        return f"[path {hashlib.sha256(text.encode()).hexdigest()[:12]}]"
    return text
