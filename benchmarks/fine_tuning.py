"""Each way of fine-tuning on small data, as neuropt does it and as loevlie/neuropt's page says, in one run.

    python benchmarks/fine_tuning.py [--seeds 3] [--steps 60] [--out benchmarks/results/fine_tuning.md]

EfficientNet-Lite0 with its ImageNet weights on 10 digits per class (100 images of 40 x 40 pixels), AdamW, batches of
25, constant rate; accuracy on 500 other images. Each cell is the best of three learning rates by the mean over the
seeds, so that no way suffers from a rate that suits another: mean and standard deviation, and the rate.

The column "original" follows the original tool's published page and code: BatchNorm in train mode, the last nn.Linear
as the head, the largest set of numbered siblings as the layer groups, `lr * decay ** i` over the parameters in order
of registration, and 0.01 times the summed squared distance of all trainable parameters to their start.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "finetune"))
from data import Split, load
from models import efficientnet_lite0

from neuropt_core.nn.tuning import Settings, Tuning

RATES = (3e-4, 1e-3, 3e-3)
BATCH = 25
MODES = ("train", "frozen", "recalibrate")
Penalty = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Way:
    """One way of fine-tuning.

    Attributes:
        name: As the table shows it.
        settings: For neuropt, without ``bn_mode``.
        original: The original tool's way of it, or None where it has none.
    """

    name: str
    settings: dict[str, Any]
    original: Callable[[nn.Module, float], tuple[list[dict[str, Any]], Penalty | None]] | None = None


def _plain(model: nn.Module, lr: float) -> tuple[list[dict[str, Any]], Penalty | None]:
    return [{"params": [p for p in model.parameters() if p.requires_grad], "lr": lr}], None


def _last_linear(model: nn.Module) -> nn.Module:
    return [m for m in model.modules() if isinstance(m, nn.Linear)][-1]


def _head_only(model: nn.Module, lr: float) -> tuple[list[dict[str, Any]], Penalty | None]:
    model.requires_grad_(False)
    _last_linear(model).requires_grad_(True)
    return _plain(model, lr)


def _gradual(model: nn.Module, lr: float) -> tuple[list[dict[str, Any]], Penalty | None]:
    model.requires_grad_(False)
    lists = [m for m in model.modules() if len(m._modules) > 1 and all(name.isdigit() for name in m._modules)]
    largest = max(lists, key=lambda m: len(m._modules))
    blocks = list(largest.children())
    for block in (*blocks[len(blocks) - len(blocks) // 3 :], _last_linear(model)):
        block.requires_grad_(True)
    return _plain(model, lr)


def _decayed(decay: float) -> Callable[[nn.Module, float], tuple[list[dict[str, Any]], Penalty | None]]:
    def groups(model: nn.Module, lr: float) -> tuple[list[dict[str, Any]], Penalty | None]:
        return [{"params": [p], "lr": lr * decay**i} for i, p in enumerate(model.parameters())], None

    return groups


def _l2sp(model: nn.Module, lr: float) -> tuple[list[dict[str, Any]], Penalty | None]:
    start = {n: p.detach().clone() for n, p in model.named_parameters()}

    def penalty() -> torch.Tensor:
        return 0.01 * sum(((p - start[n]) ** 2).sum() for n, p in model.named_parameters() if p.requires_grad)

    return _plain(model, lr)[0], penalty


WAYS = (
    Way("full", {}, _plain),
    Way("head_only", {"freeze_strategy": "head_only"}, _head_only),
    Way("gradual_unfreeze", {"freeze_strategy": "gradual_unfreeze"}, _gradual),
    Way("last_blocks", {"freeze_strategy": "last_blocks"}),
    Way("norm_and_bias", {"freeze_strategy": "norm_and_bias"}),
    Way("schedule", {"freeze_strategy": "schedule"}),
    Way("lp_ft", {"freeze_strategy": "lp_ft"}),
    Way("full, lr_layer_decay 0.9", {"lr_layer_decay": 0.9}, _decayed(0.9)),
    Way("full, lr_layer_decay 0.75", {"lr_layer_decay": 0.75}, _decayed(0.75)),
    Way("full, lr_layer_decay 0.5", {"lr_layer_decay": 0.5}, _decayed(0.5)),
    Way("full, L2-SP", {"l2sp_regularization": True}, _l2sp),
    Way("full, head_lr_mult 10", {"head_lr_mult": 10.0}),
)


def train(way: Way, mode: str, lr: float, seed: int, steps: int, splits: tuple[Split, Split]) -> float:
    """Trains once and returns the accuracy, in [0, 1]; `mode` is a ``bn_mode``, or ``original`` for the other tool."""
    torch.manual_seed(seed)
    model = efficientnet_lite0(num_classes=10)
    tuning = None
    if mode == "original":
        assert way.original is not None
        groups, penalty = way.original(model, lr)
    else:
        tuning = Tuning(model, Settings.read({**way.settings, "bn_mode": mode}))
        groups, penalty = tuning.param_groups(lr=lr, weight_decay=0.01), tuning.penalty
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=0.01)
    (images, labels), (test_images, test_labels) = splits
    order = torch.Generator().manual_seed(seed)
    epoch = len(labels) // BATCH
    model.train()
    for step in range(steps):
        if step % epoch == 0:
            batches = torch.randperm(len(labels), generator=order).split(BATCH)
            if tuning is not None:
                tuning.step(step / steps)
        batch = batches[step % epoch]
        loss = cross_entropy(model(images[batch]), labels[batch])
        loss = loss if penalty is None else loss + penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        right = sum(
            int((model(x).argmax(1) == y).sum())
            for x, y in zip(test_images.split(250), test_labels.split(250), strict=True)
        )
    return right / len(test_labels)


def cell(way: Way, mode: str, seeds: int, steps: int, splits: tuple[Split, Split]) -> str:
    """Returns the best rate's mean and spread as text."""
    runs = {lr: [train(way, mode, lr, seed, steps, splits) for seed in range(seeds)] for lr in RATES}
    lr, best = max(runs.items(), key=lambda item: statistics.mean(item[1]))
    spread = statistics.stdev(best) if len(best) > 1 else 0.0
    return f"{statistics.mean(best):.3f} ± {spread:.3f} ({lr:g})"


def main() -> None:
    """Runs all ways and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--only", help="a way's name")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train_split, test_split, _ = load(dir="data", name="digits", train=100, val=500, size=40)
    began = time.monotonic()
    lines = [
        f"    python benchmarks/fine_tuning.py --seeds {options.seeds} --steps {options.steps}",
        "",
        f"EfficientNet-Lite0, ImageNet -> 100 digits; torch {torch.__version__}, one thread, CPU. Accuracy on 500",
        f"others: mean ± standard deviation of {options.seeds} seeds at the best of the rates {RATES} (in brackets).",
        "",
        f"| way | original | {' | '.join(f'bn_mode={mode}' for mode in MODES)} |",
        f"|---|---|{'---|' * len(MODES)}",
    ]
    for way in WAYS:
        if options.only not in (None, way.name):
            continue
        modes = ("original", *MODES)
        cells = [
            "has none" if mode == "original" and way.original is None
            else cell(way, mode, options.seeds, options.steps, (train_split, test_split))
            for mode in modes
        ]  # fmt: skip
        lines.append(f"| {way.name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    text = "\n".join([*lines, "", f"Whole run: {time.monotonic() - began:.0f} s."]) + "\n"
    print("\n" + text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
