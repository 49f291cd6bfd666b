"""A trial's config as a file that Hydra composes to the same: what differs from the user's own, or all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.conf import JobConf
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from neuropt_core.errors import StudyError
from neuropt_core.redact import GONE, redact_data, redact_override

MISSING = "???"
"""What OmegaConf takes for a value that the command line must give; it stands where a secret was."""
_VALUES = "_values"


@dataclass(frozen=True, slots=True)
class Composed:
    """A job's config as Hydra composed it.

    Attributes:
        config: The user's part, plain data with its interpolations as they are written; secrets are `MISSING`.
        hydra: Its ``hydra`` node, likewise.
        overrides: What the command line gave, without what is meant for ``hydra`` itself.
        secrets: The dotted keys whose values are left out.
    """

    config: Mapping[str, Any]
    hydra: Mapping[str, Any]
    overrides: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def choices(self) -> Mapping[str, Any]:
        """Config group -> chosen option."""
        found: Mapping[str, Any] = (self.hydra.get("runtime") or {}).get("choices") or {}
        return found


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a config.

    Attributes:
        words: What it is, for people.
        files: Suffix of a file's stem -> its text; the one that is named has "".
    """

    words: str
    files: Mapping[str, str]


def composed(config: str, hydra: str, overrides: Sequence[str] | None, secrets: Iterable[str]) -> Composed:
    """Reads what Hydra has written of a job.

    Args:
        config: The text of ``.hydra/config.yaml``.
        hydra: The text of ``.hydra/hydra.yaml``, the node ``hydra`` at its top.
        overrides: The job's overrides where they are known better than there; None for what Hydra wrote.
        secrets: Values that are known to be secret.

    Raises:
        StudyError: A text is no config.
    """
    read, node = plain_data(config), plain_data(hydra).get("hydra") or {}
    given = overrides if overrides is not None else (node.get("overrides") or {}).get("task") or ()
    held = tuple(secrets)
    gone: list[str] = []
    named = [_key(text) for text in given if GONE in redact_override(text, held)]
    masked = _masked(read, redact_data(read, held), "", tuple(named), gone)
    return Composed(masked, node, tuple(map(str, given)), tuple(dict.fromkeys(gone)))


def plain_data(text: str) -> dict[str, Any]:
    """Returns a config's text as Hydra reads it, interpolations as they are written.

    Raises:
        StudyError: It is no config.
    """
    try:
        found = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise StudyError("a config", f"cannot be read ({' '.join(str(error).split())})") from None
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def forms(job: Composed, base: str | None, stem: str, *, whole: bool, single: bool) -> list[Form]:
    """Returns the ways in which a job's config can be written, the best first.

    Args:
        job: The trial's.
        base: The name of the app's own config; None where it has none.
        stem: The name of the new one.
        whole: Whether only the whole config will do.
        single: Whether the app's own config asks for a sweep, which the new one is not to be.
    """
    run = _of_hydra(job, single)
    words = "the whole config of the trial; your own files, and what they say to Hydra itself, are not read"
    all_of_it = Form(words, {"": _text({**job.config, **run})})
    parts = None if whole else _difference(job)
    if parts is None:
        return [all_of_it]
    listed, values = parts
    own = [] if base is None else [base]
    delta = {"defaults": [*own, *listed, "_self_"], **values, **run}
    found = [Form("what differs from your own config, which it includes", {"": _text(delta)})]
    new = {_key(text) for text in job.overrides if text.startswith("+") and _is_new(text)}
    first = _nested(job.config, [key for key in new if key not in job.choices]) or {}
    rest = _nested(job.config, [k for k in map(_key, job.overrides) if k not in new and k not in job.choices])
    if first and rest is not None:
        # A dataclass takes no key that it does not know, but is laid over a config that has it.
        split = {"defaults": ["_self_", *own, *listed, f"{stem}{_VALUES}"], **first, **run}
        words = f"what differs from your own config, in two files since that has a schema ({stem}{_VALUES}.yaml)"
        found.append(Form(words, {"": _text(split), _VALUES: _text(rest)}))
    return [*found, all_of_it]


def unlike(one: Any, other: Any, key: str = "") -> list[str]:
    """Returns the dotted keys in which two configs differ; numbers of another type differ, too."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = dict.fromkeys((*one, *other))
        lost = [_join(key, name) for name in names if (name in one) != (name in other)]
        return [*lost, *(k for n in names if n in one and n in other for k in unlike(one[n], other[n], _join(key, n)))]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [key] if any(unlike(a, b, key) for a, b in zip(one, other, strict=True)) else []
    same = type(one) is type(other) and (one == other or (one != one and other != other))
    return [] if same else [key]


def hidden(config: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Returns a config with `MISSING` at some dotted keys, to compare it with one whose secrets are left out."""
    return dict(_hidden(config, frozenset(keys), ""))


def _hidden(value: Any, keys: frozenset[str], key: str) -> Any:
    if key in keys:
        return MISSING
    return {n: _hidden(v, keys, _join(key, n)) for n, v in value.items()} if isinstance(value, Mapping) else value


def _difference(job: Composed) -> tuple[list[Any], dict[str, Any]] | None:
    """Returns entries for the defaults list and nested values; None where no file can say what an override says."""
    added: list[dict[str, Any]] = []
    replaced: list[dict[str, Any]] = []
    keys: list[str] = []
    gone = {_key(text) for text in job.overrides if text.startswith("~")}
    for text in job.overrides:
        key = _key(text)
        if key in gone and not text.startswith("~"):
            continue  # What is set and taken away is not there, in whichever order.
        if text.startswith("~"):
            if "." in key:
                return None  # A value that is taken away; a file can only add.
            replaced.append({f"override {key}": None})
        elif key in job.choices:
            (added if text.startswith("+") else replaced).append(
                {(key if text.startswith("+") else f"override {key}"): job.choices[key]}
            )
        else:
            keys.append(key)
    values = _nested(job.config, keys)
    return None if values is None else ([*added, *replaced], values)


def _nested(config: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any] | None:
    """Returns the values at some dotted keys of a config, nested as there; None where one cannot be found.

    A list on the way is taken whole: a file replaces it.
    """
    asked = tuple(keys)
    found: dict[str, Any] = {}
    for key in asked:
        here: Any = config
        there, names = found, key.split(".")
        for place, name in enumerate(names, start=1):
            if not isinstance(here, Mapping) or name not in here:
                return None
            here = here[name]
            if isinstance(here, list) or ".".join(names[:place]) in asked:  # Also where a later override has it all.
                there[name] = here
                break
            there = there.setdefault(name, {})
    return found


def _masked(value: Any, shown: Any, key: str, named: tuple[str, ...], gone: list[str]) -> Any:
    if isinstance(value, Mapping) and isinstance(shown, Mapping) and len(value) == len(shown):
        pairs = zip(value.items(), shown.values(), strict=True)
        return {name: _masked(v, s, _join(key, name), named, gone) for (name, v), s in pairs}
    if value == shown and key not in named:
        return value
    gone.append(key)
    return MISSING


def _of_hydra(job: Composed, single: bool) -> dict[str, Any]:
    """Returns what a single run like the job needs of the node ``hydra``: where it runs, and that it is one."""
    chdir, plain = (job.hydra.get("job") or {}).get("chdir"), JobConf().chdir
    node = {**({"mode": "RUN"} if single else {}), **({} if chdir in (None, plain) else {"job": {"chdir": chdir}})}
    return {"hydra": node} if node else {}


def _is_new(override: str) -> bool:
    return override.startswith("++neuropt.") or not override.startswith("++")


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def _join(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _text(content: Mapping[str, Any]) -> str:
    # OmegaConf's own writer: what it quotes, its reader takes for text (1e-5 is a number to it, and none to PyYAML).
    return OmegaConf.to_yaml(OmegaConf.create(dict(content)))
