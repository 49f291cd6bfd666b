"""What single settings do to the demo: `examples/finetune/train.py` by itself, several seeds each, side by side.

    python benchmarks/demo_arms.py [--data digits|fashion_mnist] [--seeds 3] [--out benchmarks/results/demo_arms.md]

Prints a Markdown table: mean and standard deviation over the seeds of the final validation loss and accuracy.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "examples" / "finetune" / "train.py"
RECALIBRATE = "++neuropt.bn_mode=recalibrate"
ARMS: dict[str, tuple[str, ...]] = {
    "plain (trial 0)": (),
    "lr 3e-4": ("optimizer.lr=3e-4",),
    "lr 3e-3": ("optimizer.lr=3e-3",),
    "bn_mode=frozen": ("++neuropt.bn_mode=frozen",),
    "bn_mode=frozen, lr 3e-4": ("++neuropt.bn_mode=frozen", "optimizer.lr=3e-4"),
    "bn_mode=recalibrate": (RECALIBRATE,),
    "bn_mode=recalibrate, lr 3e-3": (RECALIBRATE, "optimizer.lr=3e-3"),
    "recalibrate, head_only, lr 1e-2": (RECALIBRATE, "++neuropt.freeze_strategy=head_only", "optimizer.lr=1e-2"),
    "recalibrate, gradual_unfreeze": (RECALIBRATE, "++neuropt.freeze_strategy=gradual_unfreeze"),
    "recalibrate, lr_layer_decay=0.75": (RECALIBRATE, "++neuropt.lr_layer_decay=0.75"),
    "recalibrate, l2sp": (RECALIBRATE, "++neuropt.l2sp_regularization=true"),
}
_LAST = re.compile(r"val_loss (\S+)  val_accuracy (\S+)")


def run(*overrides: str) -> tuple[float, float]:
    """Trains once and returns the last validation loss and accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", str(SCRIPT), f"hydra.run.dir={folder}", *overrides]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    loss, accuracy = _LAST.findall(said)[-1]
    return float(loss), float(accuracy)


def table(data: str, seeds: int) -> str:
    """Returns the table of one data set."""
    lines = [f"| {data}, {seeds} seeds | val_loss | accuracy |", "|---|---|---|"]
    for name, overrides in ARMS.items():
        runs = [run(f"data.name={data}", f"seed={seed}", *overrides) for seed in range(seeds)]
        cells = (f"{statistics.mean(values):.3f} ± {_spread(values):.3f}" for values in zip(*runs, strict=True))
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _spread(values: tuple[float, ...]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    """Runs all arms and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = table(options.data, options.seeds)
    print("\n" + text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
