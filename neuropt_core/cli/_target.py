"""What `neuropt inspect` is pointed at: a training script, a Hydra config file, or what builds a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neuropt_core.errors import NeuroptError

_STAND_IN = "hydra_plugins.neuropt_sweeper._stand_in"
_FACTORY = "NEUROPT_FACTORY"
"""The environment variable by which the stand-in is told what builds the model."""
_NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")
_SHAPE = re.compile(r"\d+(,\d+)*\Z")
SPACES = ("seed", "standard", "wide")


@dataclass(frozen=True, slots=True)
class Target:
    """How a target is rehearsed.

    Attributes:
        kind: ``script``, ``config`` or ``factory``.
        start: What Python runs.
        overrides: The overrides of the dry run.
        environ: What is added to the environment.
    """

    kind: str
    start: tuple[str, ...]
    overrides: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)


def read_target(
    text: str,
    words: Sequence[str],
    *,
    space: str | None = None,
    pretrained: bool | None = None,
    shape: str | None = None,
) -> Target:
    """Returns how to look at what was named.

    Args:
        text: A script (``train.py``), a config (``conf/config.yaml``) or ``module:name``.
        words: Overrides; of a ``module:name`` its arguments, ``key=value``.
        space: ``seed``, ``standard`` or ``wide``; None takes what the config says.
        pretrained: The user's word on the weights; None takes what the config says.
        shape: The shape of one sample without the batch, e.g. ``3,224,224``.

    Raises:
        NeuroptError: There is no such thing, or an option is wrong.
    """
    if space is not None and space not in SPACES:
        raise NeuroptError("--space", f"must be one of {', '.join(SPACES)}", got=space)
    if shape is not None and not _SHAPE.match(shape):
        raise NeuroptError(
            "--input", "must be whole numbers with commas between them", got=shape, mend="Write 3,224,224."
        )
    given = [] if space is None else [f"hydra.sweeper.space={space}"]
    given += [] if pretrained is None else [f"hydra.sweeper.pretrained={str(pretrained).lower()}"]
    path = Path(text)
    if _NAMED.match(text):
        example = [] if shape is None else [f"+neuropt.example=[{shape}]"]
        return Target("factory", ("-m", _STAND_IN), (*map(_argument, words), *example, *given), {_FACTORY: text})
    if path.suffix not in (".py", ".yaml", ".yml"):
        mend = "Give train.py, conf/config.yaml, or module:name, e.g. torchvision.models:resnet18."
        raise NeuroptError(text, "is neither a script, nor a config file, nor module:name", mend=mend)
    if not path.is_file():
        raise NeuroptError(text, "is no file" if path.exists() else "does not exist")
    if path.suffix == ".py":
        if shape is not None:
            mend = f"Add the override neuropt.example=[{shape}], with ++ before it where the config has no `neuropt`."
            raise NeuroptError("--input", "is not for a script, which reads its own config", mend=mend)
        return Target("script", (text,), (*words, *given))
    folder, name = path.resolve().parent, path.stem
    example = [] if shape is None else [f"++neuropt.example=[{shape}]"]
    start = ("-m", _STAND_IN, "--config-path", str(folder), "--config-name", name)
    return Target("config", start, (*words, *example, *given))


def _argument(word: str) -> str:
    """Returns an argument of a factory as the override that sets it."""
    key, sign, value = word.partition("=")
    if not sign or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
        raise NeuroptError(
            word, "must be an argument of what builds the model, as key=value", mend="Write num_classes=10."
        )
    return word if key.startswith("hydra.") else f"+model.{key}={value}"
