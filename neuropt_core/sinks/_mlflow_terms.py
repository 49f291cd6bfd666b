"""What MLflow takes: the user's settings, names and lengths. Imports nothing of mlflow."""

from __future__ import annotations

import importlib.util
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from neuropt_core.errors import ConfigError, MissingExtraError

_WHERE = "hydra.sweeper.mlflow"
_LONGEST, _NAME = 6000, 250
"""Characters of a parameter's value, and of a name: the limits of `mlflow.utils.validation`."""


@dataclass(frozen=True, slots=True)
class MlflowSettings:
    """The settings below ``hydra.sweeper.mlflow``.

    Attributes:
        experiment: The experiment's name; None leaves MLflow alone.
        tracking_uri: Where it is kept; None takes ``MLFLOW_TRACKING_URI``, else `mlflow.db` in the sweep's folder.
    """

    experiment: str | None = None
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        for key, value in (("experiment", self.experiment), ("tracking_uri", self.tracking_uri)):
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise ConfigError(f"{_WHERE}.{key}", "must be text or null", got=value)
        if self.tracking_uri is not None and self.experiment is None:
            raise ConfigError(f"{_WHERE}.tracking_uri", f"needs {_WHERE}.experiment beside it")
        if self.experiment is not None and importlib.util.find_spec("mlflow") is None:
            text = f"{_WHERE}.experiment needs mlflow: pip install 'hydra-neuropt-sweeper[mlflow]'"
            raise MissingExtraError(text)


def without_login(uri: str) -> tuple[str, dict[str, str]]:
    """Returns the address of a server without user and password, and the variables in which MLflow takes these.

    In the address they would stand in every message of an error. A database is left as it is.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return uri, {}
    login = {"USERNAME": parts.username, "PASSWORD": parts.password or ""}
    variables = {f"MLFLOW_TRACKING_{name}": unquote(text) for name, text in login.items()}
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), variables


def legal_names(items: Mapping[str, Any]) -> dict[str, Any]:
    """Returns items under names that MLflow takes: what it refuses is made ``_``, and a second such name numbered."""
    found: dict[str, Any] = {}
    for name, value in items.items():
        legal = re.sub(r"[^\w.\- :/]", "_", name)[: _NAME - 4]
        if posixpath.normpath(legal) != legal or legal == "." or legal.startswith(("/", "..")):
            legal = re.sub(r"[/.]", "_", legal) or "_"
        count = 1
        while (unique := legal if count == 1 else f"{legal}_{count}") in found:
            count += 1
        found[unique] = value
    return found


def shortened(text: str) -> str:
    """Returns a value that MLflow takes: a longer one is cut, which an ellipsis shows."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
