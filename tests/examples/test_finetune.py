"""The example that people copy: it reads real images, trains alone, and is short."""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from neuropt_core.errors import ConfigError

_FOLDER = Path(__file__).parents[2] / "examples" / "finetune"


@pytest.fixture(scope="module")
def data() -> ModuleType:
    """The example's own module, which is not on the path."""
    spec = importlib.util.spec_from_file_location("finetune_data", _FOLDER / "data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write_idx(place: Path, name: str, array: np.ndarray, *, packed: bool) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    place.mkdir(parents=True, exist_ok=True)
    raw = header + array.astype(np.uint8).tobytes()
    if packed:
        (place / f"{name}.gz").write_bytes(gzip.compress(raw))
    else:
        (place / name).write_bytes(raw)


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_read(data: ModuleType, tmp_path: Path, packed: bool) -> None:
    """Torchvision's files, packed or not, become normalised images with their own labels, split without overlap."""
    images = np.repeat(np.arange(30, dtype=np.uint8) * 8, 28 * 28).reshape(30, 28, 28)
    place = tmp_path / "FashionMNIST" / "raw"
    _write_idx(place, "train-images-idx3-ubyte", images, packed=packed)
    _write_idx(place, "train-labels-idx1-ubyte", np.arange(30) % 10, packed=packed)
    train, val, name = data.load(dir=str(tmp_path), name="auto", train=20, val=10, size=32)
    assert name == "FashionMNIST"
    assert train.images.shape == (20, 3, 32, 32)
    assert val.images.shape == (10, 3, 32, 32)
    # Image i is uniformly 8i and has label i % 10: the pixel gives away which image it is.
    every = torch.cat([train.images, val.images])[:, 0, 5, 5] * 0.229 + 0.485
    numbers = (every * 255 / 8).round().long()
    assert sorted(numbers.tolist()) == list(range(30))
    assert torch.equal(numbers % 10, torch.cat([train.labels, val.labels]))


def test_digits_stand_in(data: ModuleType, tmp_path: Path) -> None:
    """Without FashionMNIST scikit-learn's digits are taken, the same ones each time."""
    pytest.importorskip("sklearn")
    one, _, name = data.load(dir=str(tmp_path), name="digits", train=50, val=20, size=40)
    two, _, _ = data.load(dir=str(tmp_path), name="digits", train=50, val=20, size=40)
    assert name == "digits"
    assert torch.equal(one.images, two.images)
    assert set(one.labels.tolist()) == set(range(10))
    assert 0.5 < one.images.std() < 2.5


def test_wrong_data_is_told(data: ModuleType, tmp_path: Path) -> None:
    """A data set that is unknown, or too small for what is asked, is refused with the config's key."""
    with pytest.raises(ConfigError, match=r"data\.name"):
        data.load(dir=str(tmp_path), name="cifar", train=1, val=1, size=32)
    pytest.importorskip("sklearn")
    with pytest.raises(ConfigError, match="at most 1797 images of digits"):
        data.load(dir=str(tmp_path), name="digits", train=1700, val=200, size=32)


def test_train_is_short() -> None:
    """train.py has less than 120 lines."""
    assert len((_FOLDER / "train.py").read_text(encoding="utf-8").splitlines()) < 120


@pytest.mark.slow
def test_it_trains_alone(tmp_path: Path) -> None:
    """`python train.py` trains without a sweep, warns of nothing, and logs a validation loss for each epoch."""
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("sklearn")
    small = ["epochs=2", "data.name=digits", "data.train=64", "data.val=32", "data.size=32", "+neuropt.bn_mode=frozen"]
    done = subprocess.run(
        [sys.executable, str(_FOLDER / "train.py"), f"hydra.run.dir={tmp_path}", *small],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    losses = re.findall(r"epoch \d: train_loss ([\d.]+)  val_loss ([\d.]+)  val_accuracy ([\d.]+)", done.stdout)
    assert len(losses) == 2
    assert float(losses[1][0]) < float(losses[0][0])
