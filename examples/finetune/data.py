"""A few hundred real images: FashionMNIST where it is at hand, else the digits that scikit-learn brings along."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuropt_core.errors import ConfigError

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # Of ImageNet, on which the models were trained.
_SPLIT_SEED = 0  # The split belongs to the task, so that the seed of a run does not change it.


class Split(NamedTuple):
    """Images ``(n, 3, size, size)``, normalised, and their labels ``(n,)`` in 0..9."""

    images: Tensor
    labels: Tensor


def load(*, dir: str, name: str, train: int, val: int, size: int) -> tuple[Split, Split, str]:  # noqa: A002 - the config's word
    """Returns a training and a validation split that share no image, and the name of the data set.

    Args:
        dir: Holds torchvision's files, ``FashionMNIST/raw/*-ubyte`` or ``*-ubyte.gz``.
        name: ``fashion_mnist``, ``digits``, or ``auto`` for the first where it is at hand.
        train: Images to train on.
        val: Images to validate on.
        size: Pixels a side.
    """
    if name not in ("auto", "fashion_mnist", "digits"):
        raise ConfigError("data.name", "must be auto, fashion_mnist or digits", got=name)
    places = [Path(dir) / "FashionMNIST" / "raw", Path("/usr/share/datasets/fashion-mnist")]
    found = next((place for place in places if any(place.glob("train-images-idx3-ubyte*"))), None)
    if name == "fashion_mnist" and found is None:
        raise ConfigError("data.name", f"fashion_mnist is in none of {[str(p) for p in places]}", mend="Use digits.")
    if found is not None and name != "digits":
        name, images, labels = "FashionMNIST", *_fashion_mnist(found)
    else:
        name, images, labels = "digits", *_digits()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))[: train + val]
    if len(order) < train + val:
        raise ConfigError("data", f"train + val must be at most {len(images)} images of {name}", got=train + val)
    return _prepare(images, labels, order[:train], size), _prepare(images, labels, order[train:], size), name


def _prepare(images: np.ndarray, labels: np.ndarray, chosen: np.ndarray, size: int) -> Split:
    pixels = torch.from_numpy(images[chosen]).float().div(255).unsqueeze(1)
    pixels = torch.nn.functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    normal = ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)  # As convolutions like it best.
    return Split(normal, torch.from_numpy(labels[chosen]).long())


def _fashion_mnist(place: Path) -> tuple[np.ndarray, np.ndarray]:
    return _idx(place, "train-images-idx3-ubyte"), _idx(place, "train-labels-idx1-ubyte")


def _idx(place: Path, name: str) -> np.ndarray:
    """Reads the idx format: a magic number whose last byte is the rank, the shape in big-endian words, the bytes."""
    path = place / name
    raw = path.read_bytes() if path.exists() else gzip.decompress((place / f"{name}.gz").read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", rank, offset=4).astype(int)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # Only where FashionMNIST is not at hand.

    digits = load_digits()
    return (digits.images * (255 / 16)).astype(np.uint8), digits.target
