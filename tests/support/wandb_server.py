"""A W&B server on the loopback interface: as much of its protocol as the SDK needs for runs and tables.

Standard library only. Every request is kept; an operation that the server does not know is answered with an error and
recorded in `unknown`, so that a new SDK that asks for more fails a test with that operation's name.
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from http_listening import listening
from wandb_views import Views


@dataclass
class Run:
    """What has arrived of one run."""

    fields: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    complete: bool = False


class WandbServer:
    """What arrived, and how to disturb it.

    Attributes:
        runs: Run id -> what has arrived of it.
        bodies: Every request body, unpacked, with its path in front.
        unknown: Operations that could not be answered.
        fault: Called with a word for what is asked (``UpsertBucket``, ``file_stream``, ``upload`` ...) before each
            answer; returns the HTTP status, 200 for a normal answer. May sleep.
        stopped: Display names of runs that somebody has stopped on their pages.
        alerts: The alerts that were sent.
        sweeps: The native sweeps that were made.
        artifacts: The artifacts that were made.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.bodies: list[bytes] = []
        self.unknown: list[str] = []
        self.reports = Views(self.runs)
        self.uploads: dict[str, bytes] = {}
        self.fault: Callable[[str], int] = lambda what: 200
        self.url = ""
        self.stopped: set[str] = set()
        self.alerts: list[dict[str, Any]] = []
        self.sweeps: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the data of a GraphQL operation, or None if it is not known."""
        known: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "Viewer": lambda v: {"viewer": {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}"}},
            "ServerFeaturesQuery": lambda v: {"serverInfo": {"features": []}},
            "RunResumeStatus": self._resume_status,
            "UpsertBucket": self._upsert,
            "CreateRunFiles": self._files,
            "ArtifactType": lambda v: {"project": {"artifact": None}},
            "CreateArtifact": self._artifact,
            "CreateArtifactManifest": lambda v: {
                "createArtifactManifest": {"artifactManifest": {"id": "m", "file": self._manifest(v)}}
            },
            "FetchArtifactManifest": lambda v: {
                "artifact": {
                    "currentManifest": {"file": {"directUrl": self._manifest({"artifactID": v["id"]})["uploadUrl"]}}
                }
            },
            "CreateArtifactFiles": self._artifact_files,
            "ArtifactByID": lambda v: {"artifact": {**_COMMITTED, "id": v["id"]}},
            "NotifyScriptableRunAlert": self._alert,
            "UpsertSweep": self._upsert_sweep,
            "CommitArtifact": lambda v: {"commitArtifact": {"artifact": {"id": "artifact", "digest": "d"}}},
            **self.reports.operations(),
        }
        return known[operation](variables) if operation in known else None

    def take_stream(self, run: Run, data: dict[str, Any]) -> None:
        """Keeps what a run streams: history, summary and its end."""
        for name, part in data.get("files", {}).items():
            for offset, line in enumerate(part["content"], start=part["offset"]):
                if name == "wandb-history.jsonl":
                    run.history[offset] = json.loads(line)
                elif name == "wandb-summary.json":
                    run.summary.update(json.loads(line))
        if data.get("complete"):
            run.complete, run.exit_code = True, data.get("exitcode")

    def named(self, name: str) -> Run:
        """Returns the run with a display name."""
        return next(run for run in self.runs.values() if run.fields.get("displayName") == name)

    def _upsert(self, v: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.setdefault(v["name"], Run())
        run.fields.update({k: value for k, value in v.items() if value is not None})
        run.config.update({k: item["value"] for k, item in json.loads(v.get("config") or "{}").items()})
        project = {"id": "p", "name": v.get("project") or "uncategorized", "entity": {"id": "e", "name": "me"}}
        bucket = {
            "id": f"storage-{v['name']}",
            "name": v["name"],
            "displayName": v.get("displayName"),
            "sweepName": None,
            "historyLineCount": len(run.history),
            "project": project,
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _alert(self, v: dict[str, Any]) -> dict[str, Any]:
        self.alerts.append(v)
        return {"notifyScriptableRunAlert": {"success": True}}

    def _upsert_sweep(self, v: dict[str, Any]) -> dict[str, Any]:
        self.sweeps.append(v)
        project = {"id": "p", "name": v["projectName"], "entity": {"id": "e", "name": v["entityName"] or "me"}}
        sweep = {"name": f"sweep{len(self.sweeps)}", "project": project}
        return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}

    def _resume_status(self, v: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(v["name"])
        model: dict[str, Any] = {"id": "p", "name": v.get("project"), "entity": {"id": "e", "name": "me"}}
        if run is None:
            return {"model": {**model, "bucket": None}}
        tail = [json.dumps(run.history[max(run.history)])] if run.history else []
        bucket = {
            "id": f"storage-{v['name']}",
            "name": v["name"],
            "summaryMetrics": json.dumps(run.summary),
            "displayName": run.fields.get("displayName"),
            "logLineCount": 0,
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "historyTail": json.dumps(tail),
            "eventsTail": "[]",
            "config": json.dumps({k: {"value": value} for k, value in run.config.items()}),
            "tags": run.fields.get("tags") or [],
            "wandbConfig": json.dumps(run.config.get("_wandb", {})),
        }
        return {"model": {**model, "bucket": bucket}}

    def _files(self, v: dict[str, Any]) -> dict[str, Any]:
        files = [self._slot(name, f"run/{name}") for name in v["files"]]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}

    def _artifact(self, v: dict[str, Any]) -> dict[str, Any]:
        self.artifacts.append(v.get("input") or v)
        artifact = {"id": f"artifact{len(self.artifacts):04d}", "digest": "d", "state": "PENDING"}
        return {
            "createArtifact": {"artifact": {**artifact, "artifactSequence": {"id": "sequence", "latestArtifact": None}}}
        }

    def _manifest(self, v: dict[str, Any]) -> dict[str, Any]:
        return self._slot("manifest.json", f"{(v.get('input') or v)['artifactID']}/manifest")

    def _artifact_files(self, v: dict[str, Any]) -> dict[str, Any]:
        specs = v.get("artifactFiles") or v["input"]["artifactFiles"]
        edges = [{"node": {**self._slot(s["name"], f"artifact/{s['name']}"), "artifact": {"id": "a"}}} for s in specs]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _slot(self, name: str, path: str) -> dict[str, Any]:
        slot = {"id": name, "name": name, "displayName": name, "uploadUrl": f"{self.url}/storage/{path}"}
        return {**slot, "uploadHeaders": [], "storagePath": path, "uploadMultipartUrls": None}


_COLLECTION = {
    "__typename": "ArtifactSequence",
    "id": "sequence",
    "name": "n",
    "project": {"id": "p", "internalId": "i", "name": "neuropt", "entity": {"id": "e", "name": "me"}},
}
_COMMITTED = {
    **{"__typename": "Artifact", "id": "artifact", "artifactSequence": _COLLECTION, "versionIndex": 0},
    **{"artifactType": {"name": "run_table"}, "description": None, "metadata": None, "ttlDurationSeconds": -2},
    **{"ttlIsInherited": True, "tags": [], "historyStep": None, "state": "COMMITTED", "size": 1, "digest": "d"},
    **{"commitHash": "c", "fileCount": 1, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": None, "aliases": []},
    "currentManifest": None,
}
"""What SDKs before 0.29 wait for after a table: the artifact as it is once committed."""


@contextmanager
def serve() -> Iterator[WandbServer]:
    """Runs a server on a free port of 127.0.0.1."""
    state = WandbServer()

    class Handler(_Handler):
        server_state = state

    with listening(Handler) as state.url:
        yield state


class _Handler(BaseHTTPRequestHandler):
    server_state: WandbServer
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Serves a connection until the client closes it, however rudely."""
        with contextlib.suppress(ConnectionResetError):
            super().handle()

    def log_message(self, *args: object) -> None:
        """Says nothing: the requests are kept."""

    def do_GET(self) -> None:
        """Gives an upload back."""
        body = self.server_state.uploads.get(self.path)
        self._send({} if body is None else json.loads(body), 404 if body is None else 200)

    def do_PUT(self) -> None:
        """Takes an upload."""
        body = self._body()
        status = self.server_state.fault("upload")
        self.server_state.uploads[self.path] = body
        self._send({}, status)

    def do_POST(self) -> None:
        """Answers GraphQL and the stream of a run."""
        state, body = self.server_state, self._body()
        if self.path.startswith("/files/"):
            status = state.fault("file_stream")
            run = state.runs.setdefault(self.path.split("/")[4], Run())
            if status == 200:
                state.take_stream(run, json.loads(body))
            return self._send({"stopped": True} if run.fields.get("displayName") in state.stopped else {}, status)
        if self.path != "/graphql":
            state.unknown.append(self.path)
            return self._send({}, 404)
        request = json.loads(body)
        operation = request.get("operationName") or re.findall(r"(?:query|mutation)\s+(\w+)", request["query"])[0]
        status = state.fault(operation)
        if status != 200:
            return self._send({"errors": [{"message": f"planned {status}"}]}, status)
        data = state.answer(operation, request.get("variables") or {})
        if data is None:
            state.unknown.append(operation)
            return self._send({"errors": [{"message": f"unknown operation {operation}"}]}, 200)
        return self._send({"data": data}, 200)

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        self.server_state.bodies.append(self.path.encode() + b"\n" + body)
        return body

    def _send(self, data: Any, status: int) -> None:
        payload = json.dumps(data).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # A client that gave up on us.
