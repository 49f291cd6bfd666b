"""What an exception that ended a job says: which kind of failure it is, in words without secrets."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Iterator, Sequence

from omegaconf.errors import OmegaConfBaseException

from neuropt_core.errors import ConfigError
from neuropt_core.redact import redact, secrets_of
from neuropt_core.trial import Failure

_TRACEBACK_LINES, _LINE = 60, 2000
_OUT_OF_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "HIP out of memory",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""How torch words it where it raises a plain RuntimeError: allocators without a class of their own, CUDA's libraries,
and versions before 1.13."""
_HOST_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "is killed by signal: Killed",
    "out of shared memory",
)
"""The same of the machine's memory: torch's allocator, and its loader of whose workers the kernel has killed one."""
_BROKEN_MACHINE = ("uncorrectable ECC error", "all CUDA-capable devices are busy or unavailable", "GPU is lost")
"""How CUDA words it where the device is at fault, whatever was to run on it."""
_NON_FINITE = ("returned nan values in its", "contains NaN", "contains infinity")
"""torch's anomaly detection, and scikit-learn's check of the predictions that are to be scored."""
_WORDS = (
    (_OUT_OF_MEMORY, "out_of_memory"),
    (_HOST_OUT_OF_MEMORY, "host_out_of_memory"),
    (_BROKEN_MACHINE, "node_lost"),
    (_NON_FINITE, "non_finite"),
)
"""What a RuntimeError says; the last also what a ValueError says."""
_CLASSES = (
    ((MemoryError,), "host_out_of_memory"),
    ((ImportError,), "import_error"),
    ((ConfigError, OmegaConfBaseException), "config"),
    ((FloatingPointError,), "non_finite"),
)
_ERRNO = {
    errno.ENOMEM: "host_out_of_memory",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EIO), "node_lost"),
}


def failure_of(error: BaseException, secrets: Sequence[str] = ()) -> Failure:
    """Returns what an exception that ended a job amounts to.

    Hydra wraps what is raised while it instantiates a node, hence the kind and the place come from the first cause.

    What a scheduler does to a job (its time is up, it is preempted) reaches a process as a signal; handlers, ours and
    submitit's, make an exception of it, which is told by its name.

    Args:
        error: The exception.
        secrets: What is secret beside the values of telling environment variables.
    """
    causes = list(_causes(error))
    kinds = [kind for cause in causes if (kind := _kind(cause))]
    lines = traceback.format_exception(error)
    text = "".join(lines).strip().splitlines()[-_TRACEBACK_LINES:]
    # Some exceptions print whole tensors. Secrets go before the short cut, which could halve a key.
    first = " ".join(redact(_said(error), *secrets_of(os.environ), *secrets).split())[:300]
    return Failure(
        kind=kinds[-1] if kinds else "exception",
        message=f"{type(error).__name__}: {first}" if first else type(error).__name__,
        traceback="\n".join(line if len(line) <= _LINE else f"{line[:_LINE]}…" for line in text),
        place=_place(causes[-1]),
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__


def _kind(error: BaseException) -> str:
    """Returns the kind of one exception, "" if it is none that is known."""
    # torch's and submitit's classes are known by name, so that a job without them does not import them.
    names = {kind.__name__ for kind in type(error).__mro__}
    if "AskedToEnd" in names:
        return "preempted"
    if "UncompletedJobError" in names:  # Raised by submitit's handler of the signal that SLURM sends.
        return "timeout" if "timed-out" in _said(error) else "preempted"
    if "OutOfMemoryError" in names:
        return "host_out_of_memory" if type(error).__module__.startswith("ray.") else "out_of_memory"
    for kinds, name in _CLASSES:
        if isinstance(error, kinds):
            return name
    if isinstance(error, OSError):
        return _ERRNO.get(error.errno or 0, "")
    return _by_words(error) if isinstance(error, (RuntimeError, ValueError)) else ""


def _by_words(error: RuntimeError | ValueError) -> str:
    text = _said(error)
    for words, name in _WORDS if isinstance(error, RuntimeError) else _WORDS[-1:]:
        if any(one in text for one in words):
            return name
    return ""


def _said(error: BaseException) -> str:
    try:
        return str(error)[:10_000]
    except Exception as fault:  # noqa: BLE001 - the class is the user's own, and what it is about must not be lost
        return f"its text cannot be had: its __str__ raises {type(fault).__name__}"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    return f"{kind} at {frames[-1].filename}:{frames[-1].lineno}" if frames else kind
