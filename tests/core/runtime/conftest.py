"""What tests of runs in W&B share: the real SDK without an account, and tickets whose jobs have something to tell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neuropt_core.ticket import Ticket
from neuropt_core.tracking import RunNote


@pytest.fixture
def wandb_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B's environment: offline, silent, all its files below the test's folder; its service ends with the test."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name, value in {"MODE": "offline", "SILENT": "true", "ERROR_REPORTING": "false"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    (tmp_path / "dir").mkdir()
    wandb: Any = pytest.importorskip("wandb")
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def make(tmp_path: Path, wandb_alone: None) -> Callable[..., Ticket]:
    """Makes the ticket of a trial, with a note as the sweep would write it."""

    def ticket(number: int = 7, **changed: Any) -> Ticket:
        note: dict[str, Any] = {
            "group": "bowls",
            "name": f"trial-{number:03d}",
            "notes": "A smaller rate.",
            "tags": ("neuropt",),
            "config": {"neuropt": {"trial": number, "source": "llm"}, "neuropt_rationale": "A smaller *rate*."},
            "project": "studies",
            "entity": "team",
            "sweep_dir": str(tmp_path),
        }
        made = Ticket(tmp_path / str(number) / "neuropt", number, note=RunNote(**{**note, **changed}))
        made.write()
        return made

    return ticket
