"""Conditions that the user gives to parameters: checked, their roles replaced by the parameters' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hydra_plugins.neuropt_sweeper._overrides import Arguments, Written
from hydra_plugins.neuropt_sweeper._roles import near
from neuropt_core.errors import ConfigError
from neuropt_core.space import When


def conditioned(joined: Mapping[str, Written], params: Arguments, keys: Mapping[str, object]) -> dict[str, Written]:
    """Returns the parameters to which ``hydra.sweeper.params`` gives conditions, with these, checked.

    The command line may narrow a range; the condition stays, since no grammar of the line could repeat it.

    Raises:
        ConfigError: A condition names nothing known, the parameter itself, or a value that the other cannot have.
    """
    made = {}
    for name, when in ((w.parameter.name, w.parameter.when) for w in params.searched):
        if when and name in joined:
            checked = tuple(_condition(name, condition, joined, keys) for condition in when)
            made[name] = replace(joined[name], parameter=replace(joined[name].parameter, when=checked))
    return made


def _condition(name: str, condition: When, joined: Mapping[str, Written], keys: Mapping[str, object]) -> When:
    """Returns a condition that the user wrote, its role replaced by the parameter's name.

    Raises:
        ConfigError: It names nothing known, the parameter itself, or a value that the other parameter cannot have.
    """
    where = f"hydra.sweeper.params.{name}.when"
    roles = {w.parameter.role: other for other, w in joined.items() if w.parameter.role}
    other = condition.name
    if other not in joined and other not in keys:
        if other not in roles:
            mend = near(other, {**keys, **dict.fromkeys((*joined, *roles))})
            raise ConfigError(where, "must name another parameter or a key of the config", got=other, mend=mend)
        other = roles[other]
    if other == name:
        raise ConfigError(where, "must name another parameter", got=condition.name)
    for value in condition.values if other in joined else ():
        if rule := joined[other].parameter.check(value):
            mend = near(value, {str(v): None for v in getattr(joined[other].parameter, "choices", ())})
            mend = mend if mend.startswith("Did you mean") else ""
            raise ConfigError(f"{where}.{condition.name}", rule, got=value, mend=mend)
    return When(other, condition.values)
