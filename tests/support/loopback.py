"""A network namespace in which nothing but this machine can be reached, for what listens on every address it finds."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def loopback_only() -> Iterator[list[str]]:
    """Yields the words that run a command in a network namespace of its own: ray listens on every address it finds."""
    name = f"neuropt-{uuid.uuid4().hex[:8]}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"ray would listen beyond this machine: no network namespace of its own ({error})")
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield ["ip", "netns", "exec", name]
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
