"""Which kind of failure an exception is."""

from __future__ import annotations

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from neuropt_core.errors import ConfigError
from neuropt_core.runtime.failures import failure_of
from neuropt_core.trial import Failure


def _caught(error: Exception) -> Failure:
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - as a job does
        return failure_of(caught)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "out_of_memory"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), "out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "host_out_of_memory"),
        (RuntimeError("the shop is out of memory cards"), "exception"),
        (ModuleNotFoundError("No module named 'timm'"), "import_error"),
        (ImportError("libcudart.so.12: cannot open shared object file"), "import_error"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "node_lost"),
        (OSError(28, "No space left on device", "/ckpt"), "node_lost"),
        (OSError(12, "Cannot allocate memory"), "host_out_of_memory"),
        (FileNotFoundError(2, "No such file"), "exception"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "host_out_of_memory"),
        (FloatingPointError("overflow encountered in exp"), "non_finite"),
        (RuntimeError("Function 'LogBackward0' returned nan values in its 0th output."), "non_finite"),
        (ValueError("Input contains NaN."), "non_finite"),
        (ConfigError("neuropt.freeze", "must be true"), "config"),
        (ValueError("bad shape"), "exception"),
    ],
)
def test_the_kind_is_told_by_class_or_words(error: Exception, kind: str) -> None:
    """What says something of memory, finiteness, imports, the machine or the config is told apart from the rest."""
    assert _caught(error).kind == kind


def test_torchs_own_anomaly_detection_is_understood() -> None:
    """A gradient that is not finite is told as such when torch itself raises."""
    x = torch.zeros(1, requires_grad=True)
    with (
        torch.autograd.set_detect_anomaly(True, check_nan=True),
        pytest.warns(UserWarning, match="Error detected"),
        pytest.raises(RuntimeError) as raised,
    ):
        (torch.sqrt(x) * 0).backward()
    failure = failure_of(raised.value)
    assert failure.kind == "non_finite"


def test_a_key_that_the_config_lacks_is_the_configs() -> None:
    """What OmegaConf raises in the script is told as a failure of the config."""
    with pytest.raises(OmegaConfBaseException) as raised:
        _ = OmegaConf.create({"a": "${b}"}).a
    assert failure_of(raised.value).kind == "config"


def test_hydra_hides_no_cause() -> None:
    """An import that fails while Hydra instantiates a node is an import error, and its place is not Hydra's."""
    found = []
    for name in ("no_such_module.Net", "json.loads"):
        with pytest.raises(InstantiationException) as raised:
            instantiate({"_target_": name})
        found.append(failure_of(raised.value))
    assert [failure.kind for failure in found] == ["import_error", "exception"]
    assert found[0].place != found[1].place


def test_the_place_stays_when_the_numbers_change() -> None:
    """Two failures of one line are alike, whatever their messages; those of two lines or types are not."""

    def fail(number: int, kind: type[Exception] = ValueError) -> Failure:
        try:
            raise kind(f"{number} rows")
        except Exception as error:  # noqa: BLE001 - as a job does
            return failure_of(error)

    assert fail(1).message != fail(2).message
    assert fail(1).place == fail(2).place
    assert fail(1).place != fail(1, KeyError).place
    assert fail(1).place != _caught(ValueError("1 rows")).place


def test_a_circle_of_causes_ends() -> None:
    """Exceptions that name each other as their cause are read once."""
    one, other = ValueError("one"), ImportError("other")
    one.__cause__, other.__cause__ = other, one
    assert failure_of(one).kind == "import_error"
