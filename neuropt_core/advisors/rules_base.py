"""What a rule of thumb is, and what it may ask: role names, and the situation that a study is in."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from neuropt_core.space import Parameter, SearchSpace, Value
from neuropt_core.spec import StudySpec

_ROLES = {
    "lr": r"(base_|init_|initial_|max_|peak_)?(lr|learning_rate|step_size)(_init|_initial)?|eta|eta0",
    "wd": r"wd|weight_decay|l2|l2_reg|l2_penalty|alpha",
    "optimizer": r"optimizer|optim|opt|solver|(optimizer|optim|opt)\._target_",
    "batch_size": r"(train_|mini)?_?(batch_size|batchsize|bs)",
    "width": r"width|(n_|num_)?(hidden|units|neurons|filters|channels)(_size|_dim|_units|_width|_layer_sizes)?(_?\d+)?"
    r"|(n_|num_)?(units|hidden)_l?\d+|d_model|embed_dim|embedding_dim|ff_dim|d_ff",
    "depth": r"depth|(n_|num_)?(hidden_)?(layers|blocks)",
    "momentum": r"momentum",
    "beta1": r"beta_?1",
    "beta2": r"beta_?2",
    "nesterov": r"nesterov",
    "lr_schedule": r"(lr_)?(schedule|scheduler)",
    "warmup_share": r"warmup_(share|ratio|fraction|frac|proportion)",
    "clip_norm": r"(grad|gradient)_clip(_norm|_val|ping)?|clip(_grad)?_norm|max_(grad_)?norm",
    "label_smoothing": r"label_smoothing|smoothing",
    "mixup_alpha": r"mixup(_alpha)?",
    "dropout": r"(dropout|drop_rate|p_drop|dropout_rate|dropout_p|dropout_prob)(_?\d+)?",
    "mha_dropout": r"attn_drop(out)?|attention_dropout",
    "drop_path": r"drop_path(_rate)?|stochastic_depth(_prob)?",
    "activation": r"(activation|act|nonlinearity|act_fn)(_fn|_function|_layer)?(_?\d+)?(\._target_)?",
}
"""Role -> the last parts of a plain name that mean it, where introspection and the config's roles say nothing."""

_PATTERNS = {role: re.compile(pattern) for role, pattern in _ROLES.items()}
_ADAM = ("adam", "adamw", "nadam", "radam", "adamax", "amsgrad", "rmsprop")
_SAMPLES = re.compile(
    r"(?<![\w.])(\d{1,3}(?:[ ,']\d{3})+|\d+(?:\.\d+)?)\s*([kKmM]\b)?\s+(?:[\w-]+\s+){0,2}?"
    r"(?:images|photos|pictures|samples|examples|sentences|documents|texts|reviews|rows|recordings|clips|labels)\b"
)


def role_of(parameter: Parameter) -> str:
    """Returns a parameter's role, or the one that its plain name has in most people's configs; "" if none.

    ``alpha`` is a weight decay only on a log scale that ends below 1, as scikit-learn's; elsewhere it is many things.
    """
    if parameter.role:
        return parameter.role
    found = _role_of_name(parameter.name)
    if found == "wd" and parameter.name.lower().rpartition(".")[2] == "alpha":
        return found if getattr(parameter, "log", False) and getattr(parameter, "high", 1) <= 1 else ""
    return found


@functools.lru_cache(maxsize=1024)
def _role_of_name(name: str) -> str:
    # Asked thousands of times for each trial: rules are looked up for every variation.
    parts = name.lower().split(".")
    names = (".".join(parts[-2:]), parts[-1])
    return next((role for role, pattern in _PATTERNS.items() if any(map(pattern.fullmatch, names))), "")


def with_role(space: SearchSpace, role: str) -> tuple[Parameter, ...]:
    """Returns the parameters of a role, in the space's order."""
    return tuple(p for p in space.parameters if role_of(p) == role)


def word(value: Value) -> str:
    """Returns what a choice is called, without its module, signs and capitals: ``torch.nn.LeakyReLU`` is ``leakyrelu``.

    True, False and None keep their names.
    """
    return re.sub(r"[^a-z0-9]", "", str(value).rsplit(".", 1)[-1].lower()) if isinstance(value, str) else str(value)


def samples_in(task: str) -> int | None:
    """Returns how many samples a description of a task speaks of: ``320 labelled images``, ``50k rows``; else None.

    Of several numbers the largest counts, since a test set is seldom larger than what is trained on.
    """
    found = []
    for number, unit in _SAMPLES.findall(task):
        count = float(re.sub(r"[ ,']", "", number))
        found.append(int(count * {"": 1, "k": 1_000, "m": 1_000_000}[unit.lower()]))
    return max(found, default=None)


@dataclass(frozen=True, slots=True)
class Situation:
    """What rules depend on.

    Attributes:
        optimizer: ``adam`` (and its kin), ``sgd``, another optimizer's own name, or "" if it is not known.
        pretrained: Whether weights were loaded; False where nothing is known of the model.
        strategy: The freeze strategy; ``full`` where none is set.
        groups: How many depth groups the model has; 0 if not known.
        attention: Whether attention mixes the places of the input.
        batchnorm: Whether the model has BatchNorm.
        layers: How many layers the config asks for; 0 if it does not say.
        samples: How many samples there are to train on, if the task says so.
    """

    optimizer: str = ""
    pretrained: bool = False
    strategy: str = "full"
    groups: int = 0
    attention: bool = False
    batchnorm: bool = False
    layers: int = 0
    samples: int | None = None

    @classmethod
    def of(cls, spec: StudySpec, values: Mapping[str, Value] | None = None) -> Situation:
        """Returns the situation of a configuration, by default of the user's own."""
        values = spec.space.defaults() if values is None else values
        profile = spec.profile
        depths = [values[p.name] for p in with_role(spec.space, "depth") if p.name in values]
        layers = depths[0] if depths else 0
        strategies = [values[p.name] for p in with_role(spec.space, "freeze_strategy") if p.name in values]
        return cls(
            optimizer=_optimizer(spec, values),
            pretrained=bool(strategies) if profile is None else profile.pretrained.verdict,
            strategy=str(strategies[0]) if strategies else "full",
            groups=0 if profile is None else len(profile.groups),
            attention=profile is not None and profile.facts is not None and profile.facts.mainly == "attention",
            batchnorm=profile is not None and any("batchnorm" in name.lower() for name in profile.norms),
            layers=layers if isinstance(layers, int) else 0,
            samples=samples_in(spec.task),
        )

    @property
    def light(self) -> bool:
        """Whether only a little of a loaded model trains, which then takes a higher rate."""
        return self.pretrained and self.strategy in ("head_only", "lora", "norm_and_bias")


def _optimizer(spec: StudySpec, values: Mapping[str, Value]) -> str:
    named = [values[p.name] for p in with_role(spec.space, "optimizer") if p.name in values]
    named += [text.partition("=")[2] for text in spec.fixed if "torch.optim." in text]
    name = word(named[0]) if named else ""
    if not name:  # Arguments that only one family has give it away.
        roles = {role_of(p) for p in spec.space.parameters}
        name = "adam" if roles & {"beta1", "beta2"} else "sgd" if roles & {"momentum", "nesterov"} else ""
    return "adam" if name in _ADAM else name


def always(situation: Situation) -> bool:
    """The condition of a rule that holds everywhere."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a textbook says of one role. The first rule of a role whose condition holds is the one that speaks.

    Attributes:
        role: The role; several names separated by blanks share one rule.
        low: The lower end of the plausible interval of a number.
        mode: The likeliest number.
        high: The upper end.
        times_own: Whether these three are multiples of the user's own value; without one the rule is silent.
        decade: Whether, where the user has a value, a factor of 10 around it takes the place of `low` and `high`.
        likely: For a choice the plausible ones, likeliest first, by `word`; ``*`` stands for the user's own.
        when: The condition in words; "" for always.
        holds: The condition.
        risk: What may go wrong, in one sentence.
        why: The reason.
        source: Where it is written.
    """

    role: str
    low: float | None = None
    mode: float | None = None
    high: float | None = None
    times_own: bool = False
    decade: bool = False
    likely: tuple[str, ...] = ()
    when: str = ""
    holds: Callable[[Situation], bool] = always
    risk: str = ""
    why: str
    source: str
