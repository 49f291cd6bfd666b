"""Which GPUs this process may use, found without opening any of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 20.0
"""A driver that wakes up may take several seconds to answer; one that hangs must not hold the sweep."""
_RESTRICTIONS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_KFD = Path("/sys/class/kfd/kfd/topology/nodes")


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs that trials can be given.

    Attributes:
        ids: As the driver takes them: indices, or UUIDs of GPUs or of parts of them (MIG); empty if there are none.
        variable: The environment variable that restricts a process to some of them.
    """

    ids: tuple[str, ...] = ()
    variable: str = "CUDA_VISIBLE_DEVICES"


def visible_gpus(environ: Mapping[str, str]) -> Gpus:
    """Returns the GPUs that a process with this environment may use.

    A restriction in the environment is taken as it stands, since whoever gave it (a scheduler, a colleague's agreement)
    knows; without one, the driver's own tool is asked. No CUDA context is created and torch is not imported: either
    would take memory on the GPU, or break processes that are forked afterwards.
    """
    for variable in _RESTRICTIONS:
        if variable in environ:
            return Gpus(_named(environ[variable]), variable)
    if ids := _nvidia(environ):
        return Gpus(ids)
    if ids := _amd():
        return Gpus(ids, "HIP_VISIBLE_DEVICES")
    return Gpus()


def _named(restriction: str) -> tuple[str, ...]:
    # As the CUDA driver reads it: what follows the first invalid entry is invisible, and -1 is how people write none.
    ids: list[str] = []
    for entry in (part.strip() for part in restriction.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", entry) or entry in ids:
            break
        ids.append(entry)
    return tuple(ids)


def _nvidia(environ: Mapping[str, str]) -> tuple[str, ...]:
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode != 0:  # The tool without a driver, as in images that are built for machines with GPUs.
        return ()
    # Where a GPU is divided, CUDA sees its parts alone, and these have no index.
    parts = tuple(re.findall(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)", done.stdout, re.MULTILINE))
    return parts or tuple(re.findall(r"^GPU (\d+):", done.stdout, re.MULTILINE))


def _amd() -> tuple[str, ...]:
    # The kernel lists processors too, whose gpu_id is 0.
    found = 0
    for path in _KFD.glob("*/gpu_id"):
        try:
            found += path.read_text(encoding="ascii").strip() not in ("", "0")
        except OSError:
            continue  # A GPU that a container may not use.
    return tuple(map(str, range(found)))
