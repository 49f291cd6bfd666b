"""Leaves the tests with a real model out unless they are asked for, and finds or starts its server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

URL, MODEL, FOLDER = "NEUROPT_LOCAL_LLM_URL", "NEUROPT_LOCAL_LLM_MODEL", "NEUROPT_LOCAL_LLM_FOLDER"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what is marked ``local_llm`` unless ``-m`` names the mark."""
    if "local_llm" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("local_llm")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@dataclass
class Recorder:
    """Hands requests on to a server and keeps what it answers.

    Attributes:
        upstream: The server's base URL, with ``/v1``.
        model: The model's id there.
        replies: The texts of the model, in their order.
    """

    upstream: str
    model: str
    url: str = ""
    replies: list[str] = field(default_factory=list)

    def forward(self, body: bytes) -> tuple[int, bytes]:
        """Asks the server; returns its status and body."""
        headers = {"content-type": "application/json"}
        question = urllib.request.Request(f"{self.upstream}/chat/completions", body, headers)
        try:
            with urllib.request.urlopen(question, timeout=600) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        self.replies.append(json.loads(said)["choices"][0]["message"].get("content") or "")
        return status, said


@pytest.fixture
def local_llm() -> Iterator[Recorder]:
    """A real model behind a recorder: at NEUROPT_LOCAL_LLM_URL, or started from NEUROPT_LOCAL_LLM_FOLDER."""
    with contextlib.ExitStack() as stack:
        if url := os.environ.get(URL):
            recorder = Recorder(url.rstrip("/"), os.environ.get(MODEL, "local"))
        elif folder := os.environ.get(FOLDER):
            recorder = Recorder(stack.enter_context(_served(Path(folder))), "smollm2-135m-instruct")
        else:
            pytest.fail(f"-m local_llm needs {URL} (and {MODEL}) or {FOLDER}: see docs/local_llm.md", pytrace=False)
        recorder.url = stack.enter_context(_listening(recorder))
        yield recorder


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    command = ["node", str(Path(__file__).parent / "server.mjs"), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, "the server did not start: see its words above"
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


@contextlib.contextmanager
def _listening(recorder: Recorder) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, said = recorder.forward(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
