"""What is searched: a space alone, a live torch model, or an estimator; and the config that `train_fn` gets of each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from neuropt_core.archsearch.dimensions import middle
from neuropt_core.archsearch.words import own_words
from neuropt_core.errors import ConfigError
from neuropt_core.profile import ModelProfile, in_order
from neuropt_core.reading import unread
from neuropt_core.space import Categorical, Float, Parameter, SearchSpace, Value, When
from neuropt_core.trial import Proposal

Preset = Literal["standard", "seed", "wide"]
_PREFIX = "neuropt."
_MADE = ("model", "tuning", "pretrained_weights")
"""What the search puts into the config beside the parameters."""

_READ_BY_HAND = ("lr", "wd", "lr_layer_decay", "l2sp_regularization", "l2sp_strength")
"""Roles that a training loop may well read from the config itself, as that of loevlie/neuropt does."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is searched.

    Attributes:
        space: Where to look.
        profile: What was found in the model; None without one.
        about: What a study that goes on must share, beside the space: plain data.
        make: The values of the active parameters -> what joins them in the config, told what the training loop calls.
        said: Lines for people.
        tuned: Whether the config holds a `Tuning`.
    """

    space: SearchSpace
    profile: ModelProfile | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    make: Callable[[Mapping[str, Value], Callable[[str], None]], dict[str, Any]] = field(
        default=lambda params, used: {}
    )
    said: str = ""
    tuned: bool = False

    def config(
        self, params: Mapping[str, Value], device: object = None, used: Callable[[str], None] = lambda name: None
    ) -> dict[str, Any]:
        """Returns what `train_fn` gets for a trial: its parameters, a fresh model where there is one, the device."""
        extra = {} if device is None else {"device": device}
        return {**params, **extra, **self.make(params, used)}

    def first(self) -> Proposal:
        """Returns trial 0: the model as it stands, or the defaults; the middle of each range that has none."""
        values = {p.name: p.default if p.has_default else middle(p) for p in self.space.parameters}
        params = {name: value for name, value in values.items() if self.space.is_active(name, values)}
        lacking = [name for name in params if not self.space[name].has_default]
        if self.profile is not None and not lacking:
            why = "Your model as it stands: the baseline that the others must beat."
        elif not lacking:
            why = "The defaults of the search space: the baseline that the others must beat."
        else:
            why = f"A first look: the middle of the range, or the first choice, of {', '.join(lacking)}."
        return Proposal(params, why, "prior" if lacking else "default")

    def unread(self, used: Collection[str]) -> list[str]:
        """Returns what to say of parameters that `train_fn` seems not to read: varying them would teach nothing.

        Args:
            used: The helpers of ``config["tuning"]`` that it has called.
        """
        if not self.tuned:
            return []
        searched = [p for p in self.space.parameters if p.role not in _READ_BY_HAND]
        lines = []
        for helpers, names in unread(searched, used).items():
            calls = " nor ".join(f"tuning.{helper}" for helper in helpers)
            itself = f"unless train_fn reads {'it' if len(names) == 1 else 'them'} from the config itself"
            lines.append(f"Trial 0 called no {calls}: {itself}, nothing reads {', '.join(names)}.")
        return lines


def plain_subject(space: SearchSpace, device: object = None) -> Subject:
    """Returns the subject of a search without a model.

    Raises:
        ConfigError: A parameter has the name under which the device is handed over.
    """
    if device is not None and "device" in space:
        raise ConfigError("device", "is in the search space too", mend="Leave one of the two out.")
    return Subject(space)


def model_subject(model: Any, preset: Preset, pretrained: bool | None, extra: SearchSpace | None) -> Subject:
    """Looks into a live torch model, which stays as it is.

    Args:
        model: The module.
        preset: Which edits are offered, see `inspect_model`.
        pretrained: The user's word on whether its weights were trained; None asks the weights.
        extra: Parameters that the user adds, or puts in the place of what was found.

    Raises:
        ConfigError: The model cannot be copied or looked into as it is.
        IntrospectionError: Nothing can be found out about it.
    """
    if not any(kind.__module__.partition(".")[0] == "torch" for kind in type(model).__mro__):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        rule = "must be a torch.nn.Module, or an estimator with get_params and set_params"
        raise ConfigError("model", rule, got=got, mend="Hand over an instance." if isinstance(model, type) else "")
    from neuropt_core.nn.inspect import inspect_model

    name = f"{type(model).__module__}.{type(model).__qualname__}"
    found = inspect_model(lambda: _copied(model), target=name, space=preset, pretrained=pretrained, live=True)
    if preset == "seed":  # The very list of the original, whose users' loops know no more.
        offered = tuple(p for p in found.offered if p.role != "bn_mode")
        found = replace(found, offered=offered)
    profile = replace(
        found,
        pretrained=replace(found.pretrained, reasons=tuple(map(own_words, found.pretrained.reasons))),
        left_out={own_words(key): own_words(reason) for key, reason in found.left_out.items()},
        offered=tuple(_short(parameter) for parameter in found.offered),
    )
    ours = {short.name: long.name for short, long in zip(profile.offered, found.offered, strict=True)}
    space = _joined(in_order(list(profile.offered), _training(profile.pretrained.verdict)), extra)
    _check_settings([parameter for parameter in space.parameters if ours.get(parameter.name, "").startswith(_PREFIX)])

    def make(params: Mapping[str, Value], used: Callable[[str], None]) -> dict[str, Any]:
        from neuropt_core.nn.tuning import Settings, Tuning

        node = {name: value for name, value in params.items() if ours.get(name, "").startswith(_PREFIX)}
        constants: dict[str, Any] = {"head": profile.head} if profile.head else {}
        fresh = _copied(model)
        tuning = Tuning(fresh, Settings.read({**node, **constants}), used)
        made: dict[str, Any] = {"model": fresh, "tuning": tuning}
        if params.get("l2sp_regularization") is True:
            # All of them, the head's too, so that a loop over the parameters finds each.
            made["pretrained_weights"] = {n: p.detach().clone() for n, p in fresh.named_parameters()}
        return made

    about = {"model": name, "parameters": profile.parameters}
    return Subject(space, profile, about, make, profile.summary(space.names), tuned=True)


def _check_settings(parameters: list[Parameter]) -> None:
    """Looks whether what is searched can be set at all, since the user may have put his own values there.

    Raises:
        ConfigError: A value is illegal.
    """
    from neuropt_core.nn.settings import Settings

    for parameter in parameters:
        values = parameter.choices if isinstance(parameter, Categorical) else (parameter.low, parameter.high)
        for value in values:
            Settings.read({parameter.name: value})


def estimator_subject(estimator: Any, preset: Preset, extra: SearchSpace | None) -> Subject:
    """Looks into an estimator of scikit-learn's kind (``get_params``, ``set_params``), which stays as it is.

    Raises:
        ConfigError: Nothing is left to search, the user's entry has a name that is taken, or it cannot be copied.
    """
    from neuropt_core.estimators import inspect_estimator

    name = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    own = () if extra is None else extra.names
    profile = inspect_estimator(estimator, target=name, space=preset, searched=own)
    known, space = estimator.get_params(), _joined(list(profile.offered), extra)
    present = {p.name: (type(p.default), p.default) for p in profile.offered if p.has_default}

    _unfitted(estimator)  # Refused here, not in every trial.

    def make(params: Mapping[str, Value], used: Callable[[str], None]) -> dict[str, Any]:
        fresh = _unfitted(estimator)
        # What stays as it is is not set: the estimator may spell it otherwise, e.g. None for all samples.
        changed = {name: value for name, value in params.items() if present.get(name) != (type(value), value)}
        fresh.set_params(**{name: value for name, value in changed.items() if name in known})
        return {"model": fresh}

    return Subject(space, profile, {"model": name}, make, profile.summary(space.names))


def _unfitted(estimator: Any) -> Any:
    """Returns a copy without what fitting has left, as ``sklearn.base.clone`` makes it, without importing that.

    Raises:
        ConfigError: It, or one of its arguments, cannot be copied.
    """
    mend = "Each trial gets a copy: hand over arguments that copy.deepcopy takes."
    arguments = {name: _copied(value, mend) for name, value in estimator.get_params(deep=False).items()}
    try:
        return type(estimator)(**arguments)
    except TypeError:  # Some wrappers take other arguments than they tell.
        return _copied(estimator, mend)


def _copied(
    model: Any, mend: str = "Each trial gets a copy: hand over a model on which nothing was computed yet."
) -> Any:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise ConfigError("model", f"cannot be copied ({type(error).__name__}: {error})", mend=mend) from error


def _short(parameter: Parameter) -> Parameter:
    conditions = tuple(When(c.name.removeprefix(_PREFIX), c.values) for c in parameter.when)
    return replace(parameter, name=parameter.name.removeprefix(_PREFIX), when=conditions)


def _training(pretrained: bool) -> list[Parameter]:
    """Returns the optimizer's parameters, under the names and with the choices of loevlie/neuropt.

    The rates reach as far down and up as AdamW and SGD want them; the defaults are AdamW's usual ones, a tenth of the
    rate where weights were loaded.
    """
    rate = 1e-4 if pretrained else 1e-3
    choices = ("sgd", "adam", "adamw")
    return [
        Float(name="lr", low=1e-5, high=1e-1, log=True, default=rate, has_default=True, role="lr"),
        Float(name="wd", low=1e-6, high=3e-1, log=True, default=1e-2, has_default=True, role="wd"),
        Categorical(name="optimizer", choices=choices, default="adamw", has_default=True, role="optimizer"),
    ]


def _joined(found: list[Parameter], extra: SearchSpace | None) -> SearchSpace:
    """Returns the space of what was found and what the user adds; his entry takes the place of one of its name.

    Raises:
        ConfigError: A name is that of something else in the config, or nothing is left to search.
    """
    own = {} if extra is None else {p.name: p for p in extra.parameters}
    if taken := [name for name in own if name in _MADE]:
        raise ConfigError("search_space", "has the name of what the config holds beside it", got=taken[0])
    joined = [_own(parameter, own.pop(parameter.name, None)) for parameter in found]
    parameters = (*joined, *own.values())
    if not parameters:
        raise ConfigError("model", "has nothing to search", mend='Add what train_fn reads: search_space={"lr": ...}.')
    return SearchSpace(parameters)


def _own(found: Parameter, own: Parameter | None) -> Parameter:
    """Returns the user's parameter with what is known of it: its conditions, its role, the present value if legal."""
    if own is None:
        return found
    own = replace(own, when=own.when or found.when, role=own.role or found.role, note=own.note or found.note)
    if own.has_default or not found.has_default or own.check(found.default) is not None:
        return own
    return replace(own, default=found.default, has_default=True)
