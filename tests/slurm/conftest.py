"""The cluster of up.sh, or a skip with the reason where it does not answer."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clusters import CLUSTER, Watched, ask, until


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[None]:
    """Sees that up.sh's cluster answers, and no other one; nothing of ours is left in its queue afterwards."""
    conf = CLUSTER / "slurm.conf"
    if not conf.exists():
        pytest.skip("no SLURM here: `make test-slurm` brings one up")
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if "ClusterName             = neuropt" in ask("scontrol", "show", "config"):
            yield
            ask("scancel", "--me")
            return
    if before is None:
        del os.environ["SLURM_CONF"]
    pytest.skip("the cluster of tests/slurm/up.sh does not answer: `make test-slurm` brings it up")


@pytest.fixture
def watched(tmp_path: Path, cluster: None) -> Iterator[Callable[..., Watched]]:
    """Starts sweeps; ends what is left of them and of their jobs."""
    begun: list[Watched] = []

    def begin(*arguments: str, path: str = "") -> Watched:
        begun.append(Watched(tmp_path / "a b" / "sweep", *arguments, path=path))
        return begun[-1]

    (tmp_path / "a b").mkdir()
    yield begin
    for sweep in begun:
        if sweep.process.poll() is None:
            sweep.kill()
    ask("scancel", "--me")
    until(lambda: not ask("squeue", "-h", "-t", "PD,R"), "no job runs or waits")
