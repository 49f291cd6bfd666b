"""Which GPUs there are and who gets which; no GPU is here, so nvidia-smi is a script that answers as the tool does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hydra_plugins.neuropt_sweeper._gpus import Gpus, visible_gpus
from hydra_plugins.neuropt_sweeper._slots import Slots
from neuropt_core.errors import ConfigError

TWO = """GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-8a56a4bc-e184-a047-2620-be19fdf913d5)"""
DIVIDED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-7089d0f3-293f-58c9-8f8c-5ea666eedbde)
  MIG 2g.10gb     Device  1: (UUID: MIG-56c30729-347f-5dd6-8da0-c3cfd4b5c7e1)"""


def _tool(folder: Path, answer: str, code: int = 0) -> dict[str, str]:
    """Puts a nvidia-smi that answers like this first on a PATH."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\nexit {code}\n")
    tool.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ("0,2", ("0", "2")),
        ("GPU-8a56a4bc,MIG-56c30729-347f", ("GPU-8a56a4bc", "MIG-56c30729-347f")),
        ("MIG-GPU-8a56a4bc/1/0", ("MIG-GPU-8a56a4bc/1/0",)),
        ("", ()),
        ("-1", ()),
        ("1,-1,0", ("1",)),
        ("NoDevFiles", ()),
    ],
)
def test_a_restriction_is_taken_as_it_stands(tmp_path: Path, given: str, ids: tuple[str, ...]) -> None:
    """CUDA_VISIBLE_DEVICES is read as the driver reads it, and the machine is not asked for more."""
    assert visible_gpus({**_tool(tmp_path, TWO), "CUDA_VISIBLE_DEVICES": given}).ids == ids


def test_without_a_restriction_the_drivers_tool_is_asked(tmp_path: Path) -> None:
    """All GPUs of the machine are found by their index, and the parts of divided ones by their UUID."""
    assert visible_gpus(_tool(tmp_path, TWO)) == Gpus(("0", "1"))
    parts = ("MIG-7089d0f3-293f-58c9-8f8c-5ea666eedbde", "MIG-56c30729-347f-5dd6-8da0-c3cfd4b5c7e1")
    assert visible_gpus(_tool(tmp_path, DIVIDED)).ids == parts


def test_a_tool_without_a_driver_or_no_tool_means_no_gpu(tmp_path: Path) -> None:
    """Images made for machines with GPUs have a nvidia-smi that fails; most other machines have none."""
    assert visible_gpus(_tool(tmp_path, "NVIDIA-SMI has failed", code=9)).ids == ()
    assert visible_gpus({"PATH": str(tmp_path / "empty")}).ids == ()


def test_amds_variable_is_kept() -> None:
    """A machine of AMD's restricts trials through the variable that restricts the sweeper."""
    assert visible_gpus({"HIP_VISIBLE_DEVICES": "1,2"}) == Gpus(("1", "2"), "HIP_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("capacity", "ids", "each", "count", "groups", "words"),
    [
        (None, "0123", None, 4, ["0", "1", "2", "3"], "4 at a time, on GPUs 0, 1, 2, 3, one each"),
        (None, "0123", 2, 2, ["0,1", "2,3"], "2 at a time, on GPUs 0, 1, 2, 3, 2 each"),
        (None, "012", 2, 1, ["0,1"], "1 at a time, on GPUs 0, 1"),
        (1, "01", None, 1, ["0", "1"], "1 at a time, on GPU 0"),
        (4, "01", None, 4, ["0", "1"], "4 at a time, on GPUs 0, 1, shared in turn"),
        (2, "0", None, 2, ["0"], "2 at a time, on GPU 0, shared"),
        (3, "01", 0, 3, [], "3 at a time, on the CPU, 2 threads each"),
        (None, "", None, 1, [], "1 at a time, on the CPU"),
    ],
)
def test_slots(capacity: int | None, ids: str, each: int | None, count: int, groups: list[str], words: str) -> None:
    """Each group of GPUs is a place for a trial; more places share them, and the first lines say so."""
    found = Slots.of(capacity, Gpus(tuple(ids)), each)
    slots = Slots(found.count, found.gpus, found.each, cores=6)
    assert (slots.count, [",".join(group) for group in slots.groups]) == (count, groups)
    assert slots.words == f"a process for each trial, {words}"
    seen = [slots.environment(slot, {}).get("CUDA_VISIBLE_DEVICES") for slot in range(count)]
    assert seen == [None if not ids else groups[slot % len(groups)] if groups else "" for slot in range(count)]


def test_a_users_number_of_threads_is_kept() -> None:
    """Cores are divided among the trials that run together, unless the user has said how many each gets."""
    slots = Slots(3, Gpus(), 0, cores=8)
    assert slots.environment(0, {}) == {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    assert slots.environment(0, {"OMP_NUM_THREADS": "5"})["OMP_NUM_THREADS"] == "5"
    assert Slots(1, Gpus(), 0, cores=8).environment(0, {}) == {}


def test_more_gpus_than_there_are_is_refused() -> None:
    """A trial that could never run is a sentence before anything is launched."""
    with pytest.raises(ConfigError, match=r"gpus_per_trial: must be at most .* may use, 2, got 3"):
        Slots.of(None, Gpus(("0", "1")), 3)
