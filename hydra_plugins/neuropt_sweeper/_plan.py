"""From the composed config to what will be searched, and the lines that say so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hydra.types import TaskFunction

from hydra_plugins.neuropt_sweeper._compose import Composer
from hydra_plugins.neuropt_sweeper._introspect import introspect
from hydra_plugins.neuropt_sweeper._overrides import Arguments
from hydra_plugins.neuropt_sweeper._roles import bind, leaves, role_parameters
from hydra_plugins.neuropt_sweeper._seed import find_seed
from hydra_plugins.neuropt_sweeper._settings import PRETRAINED
from hydra_plugins.neuropt_sweeper._space import Plan, write_space
from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf
from neuropt_core.errors import ConfigError, IntrospectionError
from neuropt_core.profile import ModelProfile
from neuropt_core.space import Categorical, Parameter, Value

_CORE = "neuropt_core"
FAILED = "Introspection failed, and only lr, wd, optimizer and your own parameters are searched."
_NO_READERS = tuple(f"{_CORE}.{name}" for name in ("integrations", "runtime.report", "runtime.checkpoints", "errors"))
"""Where those of our names come from that a script may import without ever reading ``cfg.neuropt``."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a sweep will search, and why.

    Attributes:
        plan: The space, and how a point of it becomes overrides.
        profile: What introspection found; None where there was nothing to look into.
        said: Lines for people.
        bound: Role -> the key of the config that has it.
    """

    plan: Plan
    profile: ModelProfile | None
    said: tuple[str, ...]
    bound: Mapping[str, str] = field(default_factory=dict)


def make_plan(
    conf: NeuroptSweeperConf, composer: Composer, task_function: TaskFunction, line: Arguments, params: Arguments
) -> Found:
    """Introspects the model, binds the roles and writes the space.

    Raises:
        ConfigError: Something in the config or on the command line must be mended first.
    """
    base = composer.job((*line.fixed, *params.fixed), number=0)
    choices = {k: str(v) for k, v in base.hydra.runtime.choices.items()}
    config = composer.plain(base)
    own = {w.parameter.name for w in (*line.searched, *params.searched)} | line.fixed_names | params.fixed_names
    raw = composer.raw(base)
    tried = {
        w.parameter.name.removeprefix("neuropt."): _ends(w.parameter)
        for w in (*line.searched, *params.searched)
        if w.parameter.name.startswith("neuropt.")
    }
    profile, said = _profile(conf, composer.resolved(base, conf.model), config, raw, own, tried, task_function)
    estimated = profile is not None and profile.estimator is not None
    wished = vars(conf.bind)
    if estimated:
        # The roles are those of gradient descent: the rate of boosting is something else, and has a range of its own.
        wished = {role: None if key == "auto" else key for role, key in wished.items()}
    bound = bind(config, wished, raw=raw, own=own)
    helped = profile is not None and not estimated and _reads_neuropt(config, task_function)
    roles = role_parameters(
        config,
        bound,
        pretrained=profile is not None and profile.pretrained.verdict,
        unbound=[role for role in ("lr", "wd") if helped and wished[role] == "auto"],
    )
    plan = write_space(
        config=config,
        choices=choices,
        profile=profile,
        roles=roles,
        arguments=line,
        params=params,
        model=conf.model,
        raw=raw,
        unseen=said[0].removeprefix(FAILED).strip() if said else "",
    )
    seed, seed_said = find_seed(config, raw, conf.seed_key, plan.space.names)
    plan = replace(plan, seed=seed)
    said.append(profile.summary(plan.shown) if profile is not None else f"  Search space: {list(plan.shown)}")
    if bound:
        said.append("  Bound: " + ", ".join(f"{role} = {key}" for role, key in bound.items()))
    if seed_said and (conf.seeds > 1 or conf.replicates):
        said.append(f"  {seed_said}")
    if "optimizer" in bound and all(p.role != "optimizer" for p in roles):
        said.append(f"  Left out: optimizer (the other arguments beside {bound['optimizer']} fit one class only)")
    said += _oddities(plan, line, params)
    return Found(plan, profile, tuple(said), bound)


def _oddities(plan: Plan, line: Arguments, params: Arguments) -> list[str]:
    """Returns what a user might not expect of his own parameters, in lines."""
    fixed = line.fixed_names | params.fixed_names
    asked = dict.fromkeys(w.parameter.name for w in (*params.searched, *line.searched))
    return [
        *(
            f"  Left out: {name} (its condition does not hold in the config, and is not searched)"
            for name in asked
            if name not in plan.space and name not in fixed
        ),
        *(
            f"  {p.name}: its present value {p.default} is not among those searched; trial 0 runs with it all the same"
            for p in plan.space.parameters
            if p.has_default and p.check(p.default) is not None
        ),
    ]


def _ends(parameter: Parameter) -> Sequence[Value]:
    """Returns the values of a parameter that must be legal for all of them to be so."""
    return parameter.choices if isinstance(parameter, Categorical) else (parameter.low, parameter.high)


def _profile(
    conf: NeuroptSweeperConf,
    node: object,
    config: Mapping[str, object],
    raw: Mapping[str, object],
    own: Collection[str],
    tried: Mapping[str, Sequence[Value]],
    task_function: TaskFunction,
) -> tuple[ModelProfile | None, list[str]]:
    """Returns what introspection found; None, and a line that says why, where there is nothing to look into."""
    if not conf.introspect:
        return None, []
    if node is None and conf.model == "model":
        why = "No model is introspected: the config has no `model` (hydra.sweeper.model names another key)."
        return None, [why]
    if not isinstance(node, Mapping):
        raise ConfigError("hydra.sweeper.model", "must be the key of a node with a _target_", got=conf.model)
    settings = config.get("neuropt")
    current = settings if isinstance(settings, dict) else {}
    try:
        profile = introspect(
            node,
            where=conf.model,
            raw=raw,
            own=own,
            space=conf.space,
            pretrained=PRETRAINED[conf.pretrained],
            # What only a job can resolve is left to the job.
            current={name: value for name, value in current.items() if "${" not in str(value)},
            tried=tried,
            closely=conf.dry_run,
        )
    except IntrospectionError as error:
        return None, [f"{FAILED} {error}"]
    if profile.estimator is not None or _reads_neuropt(config, task_function):
        return profile, []
    reason = "no call of neuropt_core.build was seen in the script; if there is one, put `neuropt: {}` into the config"
    # What the model's own factory takes needs nobody but Hydra to read it.
    arguments = tuple(p for p in profile.offered if not p.name.startswith("neuropt."))
    keys = dict(leaves(config))
    left_out = {k: why for k, why in profile.left_out.items() if "." in k or k in keys or k == "other arguments"}
    left_out |= {p.role or p.name: reason for p in profile.offered if p not in arguments}
    return replace(profile, offered=arguments, left_out=left_out), []


def _reads_neuropt(config: Mapping[str, object], task_function: TaskFunction) -> bool:
    """Tells whether something may read ``cfg.neuropt``: the config has it, or the task or its module names us."""
    if "neuropt" in config:
        return True
    values = getattr(task_function, "__globals__", {}).values()
    code = getattr(task_function, "__code__", None)
    homes = (str(getattr(v, "__module__", None) or getattr(v, "__name__", "")) for v in values)
    imported = any(home.startswith(_CORE) and not home.startswith(_NO_READERS) for home in homes)
    return imported or (code is not None and _CORE in code.co_names)
