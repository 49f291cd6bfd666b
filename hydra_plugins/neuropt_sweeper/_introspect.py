"""Looks into the configured model in a short-lived child process, where its memory and its crashes stay.

Run as a module it is that child: a request in JSON on stdin, the reply in a file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import OmegaConf

from hydra_plugins.neuropt_sweeper._estimators import EstimatorNode, build, makes_estimators
from neuropt_core.errors import ConfigError, IntrospectionError, NeuroptError
from neuropt_core.estimators import is_estimator
from neuropt_core.profile import ModelProfile
from neuropt_core.space import Value


def introspect(
    node: Mapping[str, Any],
    *,
    where: str,
    raw: Mapping[str, object],
    own: Collection[str] = (),
    space: str,
    pretrained: bool | None,
    current: Mapping[str, Any],
    tried: Mapping[str, Sequence[Value]] | None = None,
    closely: bool = False,
) -> ModelProfile:
    """Returns the profile of the model that a config node describes.

    Args:
        node: The node, interpolations resolved, with its ``_target_``.
        where: The node's key in the config.
        raw: The whole config with its interpolations as they are written, to find the key behind a value.
        own: Keys that the user searches or fixes himself.
        space: ``seed``, ``standard`` or ``wide``.
        pretrained: The user's own word on it, or None to find out.
        current: What stands under ``neuropt`` in the user's config.
        tried: Setting under ``neuropt`` that the user searches himself -> values that must be legal.
        closely: Whether to say for each setting which layers it works on, which people ask and no study does.

    Raises:
        ConfigError: The target cannot be imported, or the model cannot be built from the node.
        IntrospectionError: The model was built, but could not be looked into.
    """
    target = node.get("_target_")
    if not isinstance(target, str):
        raise ConfigError(
            where,
            "must be a node with a _target_",
            got=dict(node),
            mend="Name the model's node in hydra.sweeper.model, or set hydra.sweeper.introspect=false.",
        )
    request: dict[str, Any] = {
        "node": OmegaConf.to_yaml(OmegaConf.create(dict(node))),
        "raw": OmegaConf.to_yaml(OmegaConf.create(dict(raw))),
        "path": [str(Path(entry).absolute()) for entry in sys.path],
        "own": sorted(own),
        "where": where,
        "space": space,
        "pretrained": pretrained,
        "closely": closely,
        "current": dict(current),
        "tried": {name: list(values) for name, values in (tried or {}).items()},
    }
    reply = _asked(request)
    if "profile" in reply:
        return ModelProfile.from_json(reply["profile"])
    raise {"ConfigError": ConfigError}.get(reply["error"], IntrospectionError)(reply["where"], reply["rule"])


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    """Returns what the child process replies."""
    with tempfile.TemporaryDirectory(prefix="neuropt-") as folder:
        # A file, not stdout: models print while they load.
        request["reply"] = str(Path(folder) / "reply.json")
        done = subprocess.run(
            [sys.executable, "-m", __name__], input=json.dumps(request), capture_output=True, text=True, check=False
        )
        try:
            reply: dict[str, Any] = json.loads(Path(request["reply"]).read_text(encoding="utf-8"))
        except FileNotFoundError:
            last = done.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
            raise IntrospectionError(
                request["where"], f"the child process died with code {done.returncode} ({last[0]})"
            ) from None
    return reply


def _child() -> None:
    request = json.load(sys.stdin)
    # The job will find the user's modules as the sweeper does.
    sys.path[:] = request["path"]
    try:
        reply: dict[str, Any] = {"profile": _inspect(request).to_json()}
    except NeuroptError as error:
        kind = "ConfigError" if isinstance(error, ConfigError) else "IntrospectionError"
        reply = {"error": kind, "where": error.where, "rule": str(error).removeprefix(f"{error.where}: ")}
    except Exception as error:  # noqa: BLE001 - any model may raise anything; the parent says so and goes on
        reply = {"error": "IntrospectionError", "where": request["where"], "rule": _told(error)}
    Path(request["reply"]).write_text(json.dumps(reply), encoding="utf-8")


def _inspect(request: Mapping[str, Any]) -> ModelProfile:
    node, where = OmegaConf.create(request["node"]), request["where"]
    target = node["_target_"]
    try:
        factory = get_object(target)
    except Exception as error:  # noqa: BLE001 - importing runs the user's code
        rule = f"must be importable, got {target!r} ({_told(error.__cause__ or error)})"
        raise ConfigError(f"{where}._target_", rule) from None
    raw: Any = OmegaConf.to_container(OmegaConf.create(request["raw"]), resolve=False)
    estimator = EstimatorNode(node, where, raw, request["own"])
    if makes_estimators(factory) or find_spec("torch") is None:
        built = _maker(lambda _: build(node), where)()
        if is_estimator(built):
            return estimator.profile(built, request["space"])
    try:
        return _inspect_model(request, node, raw)
    except _EstimatorFound as found:
        return estimator.profile(found.estimator, request["space"])


def _inspect_model(request: Mapping[str, Any], node: Any, raw: Mapping[str, object]) -> ModelProfile:
    from hydra_plugins.neuropt_sweeper._arguments import NodeFactory
    from neuropt_core.nn.inspect import inspect_model
    from neuropt_core.nn.settings import Settings

    where = request["where"]
    given = Settings.read(request["current"])
    for name, values in request["tried"].items():
        for value in values:
            Settings.read({name: value})
    factory = NodeFactory(node, where, raw, request["own"], given)
    return inspect_model(
        _maker(factory.build, where, seek=True),
        target=node["_target_"],
        space=request["space"],
        pretrained=request["pretrained"],
        current=request["current"],
        factory=factory,
        closely=request["closely"],
    )


class _EstimatorFound(NeuroptError):
    """What a function returns is known only once it is called: here an estimator, which is no torch model."""

    def __init__(self, estimator: Any) -> None:
        super().__init__("model", "is an estimator")
        self.estimator = estimator


def _maker(build: Callable[[Mapping[str, float]], Any], where: str, *, seek: bool = False) -> Callable[[], Any]:
    """Returns what builds a model; where it may `seek`, an estimator is thrown to who has a use for it."""

    def make() -> Any:
        try:
            built = build({})
            if seek and is_estimator(built):
                raise _EstimatorFound(built)
            return built
        except NeuroptError:
            raise  # It says already what is wrong.
        except Exception as error:  # noqa: BLE001 - building runs the user's code
            raise ConfigError(where, f"cannot be built ({_told(error.__cause__ or error)})") from None

    return make


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


if __name__ == "__main__":
    _child()
