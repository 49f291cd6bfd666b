"""Writes the search space: what introspection found, the roles' keys, and what the user asked for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hydra_plugins.neuropt_sweeper._conditions import conditioned
from hydra_plugins.neuropt_sweeper._overrides import Arguments, Written, override
from hydra_plugins.neuropt_sweeper._roles import leaves, near
from hydra_plugins.neuropt_sweeper._seed import SeedKey
from neuropt_core.errors import ConfigError
from neuropt_core.profile import ModelProfile, in_order
from neuropt_core.reading import read_by_helpers, unread
from neuropt_core.space import Parameter, SearchSpace, Value
from neuropt_core.trial import Proposal, Trial


@dataclass(frozen=True, slots=True)
class Plan:
    """The space, and how a point of it becomes a job's overrides.

    Attributes:
        space: Where to look.
        prefixes: Parameter name -> what Hydra wants before it: "", "+" or "++".
        constants: Overrides that every trial but the baseline shares, after the user's own: introspection's findings.
        baseline: Those of the baseline: the same where the user's config sets something under ``neuropt``, which is
            to mean the same in trial 0 as in the others.
        seed: Where the job's own seed stands; None where there is none to change.
    """

    space: SearchSpace
    prefixes: Mapping[str, str]
    constants: tuple[str, ...] = ()
    baseline: tuple[str, ...] = ()
    seed: SeedKey | None = None

    def overrides(self, params: Mapping[str, Value]) -> tuple[str, ...]:
        """Returns the overrides that set `params`, in the space's order."""
        names = [name for name in self.space.names if name in params]
        # What was searched before the study was changed is set all the same, so that its trials can be repeated.
        names += [name for name in params if name not in self.space]
        return tuple(override(name, params[name], self.prefixes.get(name, "++")) for name in names)

    def of(self, proposal: Proposal) -> tuple[str, ...]:
        """Returns the overrides that make a proposal's configuration, after those of the command line."""
        seed = () if proposal.seed is None or self.seed is None else (override(self.seed.key, proposal.seed),)
        # Trial 0 runs as the user's config stands, and so does its replicate; not if the user has changed it since.
        own = proposal.source == "replicate" and proposal.parent == 0 and proposal.params == self.space.defaults()
        if proposal.source == "default" or own:
            return (*self.baseline, *seed)
        return (*self.overrides(proposal.params), *self.constants, *seed)

    def line(self, fixed: Sequence[str], proposal: Proposal) -> tuple[str, ...]:
        """Returns all overrides of a proposal's configuration: those of the command line, and `of`."""
        return (*fixed, *self.of(proposal))

    def seeded(self, proposal: Proposal, trials: Sequence[Trial]) -> Proposal:
        """Returns a replicate with the seed that its place among the runs of its configuration gives it."""
        if proposal.source != "replicate" or self.seed is None:
            return proposal
        before = sum(t.proposal.source == "replicate" and t.proposal.parent == proposal.parent for t in trials)
        return replace(proposal, seed=self.seed.of(before + 1))

    def unread(self, called: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Returns helper -> parameters that nothing reads, since the job did not call that helper."""
        ours = [p for p in self.space.parameters if p.name.startswith("neuropt.")]
        missing: dict[str, tuple[str, ...]] = {}
        for helpers, names in unread(ours, called).items():
            missing[helpers[0]] = (*missing.get(helpers[0], ()), *names)
        built = tuple(p.name for p in ours if not read_by_helpers(p.role))
        return {"build": built, **missing} if built and "build" not in called else missing

    def unread_warnings(self, called: Collection[str]) -> list[str]:
        """Returns what to say if trial 0 did not read what is searched: varying what nothing reads teaches nothing.

        Raises:
            ConfigError: It did not call `neuropt_core.build`, though the space counts on it.
        """
        unread = self.unread(called)
        if "build" in unread:
            raise ConfigError(
                "trial 0",
                f"did not call neuropt_core.build, so nothing reads {', '.join(unread['build'])}",
                mend="Build the model with it (README, step 2), or set hydra.sweeper.introspect=false.",
            )
        return [f"Trial 0 did not call tuning.{h}, so nothing reads {', '.join(n)}." for h, n in unread.items()]

    @property
    def shown(self) -> tuple[str, ...]:
        """The parameters as people know them: by role where they have one, else by name; estimators' by name."""
        return tuple(p.name if "." in p.role else p.role or p.name for p in self.space.parameters)


def write_space(
    *,
    config: Mapping[str, object],
    choices: Mapping[str, str],
    profile: ModelProfile | None,
    roles: list[Parameter],
    arguments: Arguments,
    params: Arguments,
    model: str = "model",
    raw: Mapping[str, object] | None = None,
    unseen: str = "",
) -> Plan:
    """Joins the sources; the command line beats `hydra.sweeper.params`, and both beat what the tool found.

    Args:
        config: The composed config of a job as plain data, without its ``hydra`` node.
        choices: Config group -> chosen option, e.g. ``{"model": "resnet18"}``.
        profile: What introspection found; None where it was not asked for.
        roles: The parameters of lr, wd and optimizer.
        arguments: The command line.
        params: ``hydra.sweeper.params``.
        model: The key of the model's node.
        raw: The config with its interpolations as they are written.
        unseen: Why no model was introspected, in words; "" if one was, or if nobody asked for it.

    Raises:
        ConfigError: A parameter's key is unknown, or nothing is left to search.
    """
    offered = list(profile.offered) if profile is not None else []
    own = {w.parameter.name: w for w in (*params.searched, *arguments.searched)}
    fixed = arguments.fixed_names | (params.fixed_names - {w.parameter.name for w in arguments.searched})
    found = {p.name: Written(p, _prefix(p, config)) for p in in_order(offered, roles)}
    joined = {
        name: _own(own[name], config, choices, found.get(name)) if name in own else found[name]
        for name in {**found, **own}
        if name not in fixed
    }
    keys = dict(leaves(config))
    joined |= conditioned(joined, params, keys)
    space = SearchSpace(_reachable(tuple(w.parameter for w in joined.values()), keys))
    if not len(space):
        raise ConfigError(
            "search space",
            f"is empty: no model was introspected{f' ({unseen})' if unseen else ''}, no lr, weight decay or optimizer "
            "found, and no parameter given",
            mend="Give one, e.g. 'lr=tag(log, interval(1e-5, 1e-1))', or name a key in hydra.sweeper.bind.",
        )
    searched = any(p.name in space for p in offered if p.name.startswith("neuropt."))
    own_settings = any(key.startswith("neuropt.") for key in keys)
    # Paths that introspection found are those of trial 0's layers: no pin where another trial's may differ.
    pinned = not _rebuilds(own, model, raw or config) and (searched or own_settings)
    constants = _constants(profile, config, arguments) if pinned else ()
    params_fixed = tuple(text for text in params.fixed if text.split("=", 1)[0].lstrip("+") in fixed)
    return Plan(
        space,
        {name: joined[name].prefix for name in space.names},
        constants=(*params_fixed, *constants),
        baseline=(*params_fixed, *(constants if own_settings else ())),
    )


def _own(
    written: Written, config: Mapping[str, object], choices: Mapping[str, str], found: Written | None = None
) -> Written:
    """Returns a parameter of the user's with his present value, and what the tool knows of it: role and conditions."""
    parameter, name = written.parameter, written.parameter.name
    if found is not None:
        known = found.parameter
        parameter = replace(parameter, role=known.role or parameter.role, when=parameter.when or known.when)
        written = replace(written, parameter=parameter)
        if name not in dict(leaves(config)) and not written.prefix:
            # A key that neuropt itself adds, e.g. the momentum of an optimizer that is not the present one.
            kept = replace(parameter, default=known.default, has_default=known.has_default)
            return Written(kept, found.prefix)
    keys = dict(leaves(config))
    if name in keys:
        value = keys[name]
        if not isinstance(value, (bool, int, float, str, type(None))):
            return written
        return replace(written, parameter=replace(parameter, default=value, has_default=True))
    if name in choices:
        return replace(written, parameter=replace(parameter, default=choices[name], has_default=True))
    if written.prefix:
        return written
    # Hydra's own keys (_target_) are offered only to who seems to mean one.
    meant = {key: v for key, v in keys.items() if "._" not in f".{key}" or "._" in f".{name}"}
    raise ConfigError(
        f"parameter {name}",
        "must be a key of the config or a config group",
        mend=f"{near(name, meant)} Write +{name}=... to add a new key.",
    )


def _prefix(parameter: Parameter, config: Mapping[str, object]) -> str:
    # Keys that neuropt itself adds are forced in, also into a config with a schema; the user's are set plainly.
    return "" if parameter.name in dict(leaves(config)) else "++"


def _reachable(parameters: tuple[Parameter, ...], keys: Mapping[str, object]) -> tuple[Parameter, ...]:
    """Settles conditions on parameters that are not searched, and orders each parameter after its conditions.

    Such a condition is judged by the config: where it holds it is dropped, where not the parameter is.
    """
    names = {p.name for p in parameters}
    left = [
        replace(p, when=tuple(c for c in p.when if c.name in names))
        for p in parameters
        if all(c.name in names or keys.get(c.name, c.values[0]) in c.values for c in p.when)
    ]
    ordered: list[Parameter] = []
    while left:
        placed = {p.name for p in ordered}
        ready = [p for p in left if all(c.name in placed for c in p.when)]
        if not ready:
            raise ConfigError("search space", "has conditions in a circle", got=[p.name for p in left])
        ordered.append(ready[0])
        left.remove(ready[0])
    return tuple(ordered)


def _rebuilds(names: Collection[str], model: str, raw: Mapping[str, object]) -> bool:
    """Whether one of these parameters is the model's own, or is read by it, so that its layers may have other paths."""
    texts = {key: str(value) for key, value in leaves(raw)}
    own: set[str] = set()
    new = {model}
    while new:
        own |= new
        new = {k for key, text in texts.items() if _meets(key, new) for k in _read(key, text)} - own
    return any(_meets(name.replace("/", "."), own) for name in names)


def _meets(key: str, others: Collection[str]) -> bool:
    """Whether a key is one of the others, below or above it."""
    return any(f"{key}.".startswith(f"{o}.") or f"{o}.".startswith(f"{key}.") for o in others)


def _read(key: str, text: str) -> Iterator[str]:
    """Yields the keys that the interpolations at a key name; each leading dot goes up by one."""
    for dots, name in re.findall(r"\$\{(?:oc\.select:)?(\.*)([\w.]+)", text):
        yield ".".join((*key.split(".")[: -len(dots)], name)) if dots else name


def _constants(profile: ModelProfile | None, config: Mapping[str, object], arguments: Arguments) -> tuple[str, ...]:
    """What the job needs of introspection, as overrides, so that a trial can be repeated outside a sweep."""
    if profile is None:
        return ()
    facts = {"neuropt.head": profile.head, "neuropt.fresh": profile.pretrained.fresh}
    known = {*dict(leaves(config)), *arguments.fixed_names}
    return tuple(override(name, list(value), "++") for name, value in facts.items() if value and name not in known)
