"""An MLflow tracking server on the loopback interface: as much of its REST API as one study needs.

Standard library only, since mlflow-skinny brings no server. Every request is kept; a call that it does not know is
answered with 404 and recorded in `unknown`, so that a new MLflow that asks for more fails a test with its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from http_listening import listening


@dataclass
class MlflowServer:
    """What arrived, and how to disturb it.

    Attributes:
        runs: Run id -> what is known of it, with ``tags``, ``params`` and ``metrics`` (lists of step and value).
        bodies: Every request, its path in front.
        unknown: Calls that could not be answered.
        fault: Called with what is asked before each answer; returns the HTTP status, 200 for a normal answer.
    """

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: dict[str, str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    fault: Callable[[str], int] = lambda what: 200
    url: str = ""

    def named(self, name: str) -> dict[str, Any]:
        """Returns the run with a name that is not deleted."""
        (run,) = [r for r in self.runs.values() if r["run_name"] == name and r["lifecycle_stage"] == "active"]
        return run

    def answer(self, call: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the answer to a call; None if what it asks for is not there."""
        if call == "experiments/get-by-name":
            found = self.experiments.get(given["experiment_name"])
            return None if found is None else {"experiment": {"experiment_id": found, "name": given["experiment_name"]}}
        if call == "experiments/create":
            self.experiments[given["name"]] = "1"
            return {"experiment_id": "1"}
        if call == "runs/create":
            run_id = f"{len(self.runs):032x}"
            tags = {tag["key"]: tag["value"] for tag in given.get("tags", ())}
            start = {"status": "RUNNING", "lifecycle_stage": "active", "params": {}, "metrics": {}}
            self.runs[run_id] = {"run_id": run_id, "run_name": given["run_name"], "tags": tags, **start}
            return {"run": self._shown(self.runs[run_id])}
        if call == "runs/search":
            ((tag, value),) = re.findall(r"tags\.`([\w.]+)` = '(\w+)'", given["filter"])
            found = [r for r in self.runs.values() if r["tags"].get(tag) == value and r["lifecycle_stage"] == "active"]
            return {"runs": [self._shown(run) for run in found]}
        run = self.runs[given.get("run_id") or given["run_uuid"]]
        if call == "runs/get":
            return {"run": self._shown(run)}
        if call == "runs/update":
            run["status"] = given.get("status", run["status"])
            return {"run_info": self._shown(run)["info"]}
        if call == "runs/delete":
            run["lifecycle_stage"] = "deleted"
            return {}
        assert call == "runs/log-batch", call
        run["params"] |= {p["key"]: p["value"] for p in given.get("params", ())}
        run["tags"] |= {t["key"]: t["value"] for t in given.get("tags", ())}
        for metric in given.get("metrics", ()):
            run["metrics"].setdefault(metric["key"], []).append((int(metric.get("step", 0)), float(metric["value"])))
        return {}

    @staticmethod
    def _shown(run: dict[str, Any]) -> dict[str, Any]:
        info = {key: run[key] for key in ("run_id", "run_name", "status", "lifecycle_stage")}
        tags = [{"key": key, "value": value} for key, value in run["tags"].items()]
        return {"info": {**info, "run_uuid": run["run_id"], "experiment_id": "1"}, "data": {"tags": tags}}


_CALLS = ("experiments/get-by-name", "experiments/create")
_RUNS = ("create", "search", "get", "update", "delete", "log-batch")


@contextmanager
def serve(port: int = 0) -> Iterator[MlflowServer]:
    """Runs a server on a port of 127.0.0.1, a free one unless told otherwise."""
    state = MlflowServer()

    class Handler(_Handler):
        server_state = state

    with listening(Handler, port) as state.url:
        yield state


class _Handler(BaseHTTPRequestHandler):
    server_state: MlflowServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Says nothing: the requests are kept."""

    def do_GET(self) -> None:
        """Answers what is asked by an address, or by an address with a body."""
        self._answer({key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()})

    def do_POST(self) -> None:
        """Answers what is asked by a body."""
        self._answer({})

    def _answer(self, given: dict[str, Any]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        state, call = self.server_state, urlsplit(self.path).path.partition("/mlflow/")[2]
        state.bodies.append(f"{self.path}\n{self.headers}\n".encode() + body)
        given |= json.loads(body or "{}")
        if call not in _CALLS and call not in [f"runs/{name}" for name in _RUNS]:
            state.unknown.append(self.path)
            return self._send({"error_code": "ENDPOINT_NOT_FOUND"}, 404)
        if (status := state.fault(call)) != 200:
            return self._send({"error_code": "INVALID_PARAMETER_VALUE" if status == 400 else "INTERNAL_ERROR"}, status)
        data = state.answer(call, given)
        return self._send(data or {}, 200) if data is not None else self._send(_MISSING, 404)

    def _send(self, data: dict[str, Any], status: int) -> None:
        payload = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


_MISSING = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "it is not there"}
