"""How often a model is rightly told to be trained or random: by neuropt's evidence, and by loevlie/neuropt's rule.

    python benchmarks/pretrained_detection.py [--timm 80] [--transformers 60] [--millions 30] [--out FILE]

Prints a Markdown table by family. timm and transformers are used where they are installed; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import statistics
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pretrained_zoo as zoo
import torch
from torch import nn

from neuropt_core.nn.evidence import look_for_training

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=1e-3),
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=3e-3, weight_decay=0.05),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=1e-3),
}
LEARNT = 0.5  # Accuracy on ten digits; below it a net has hardly been trained.


def variance_rule(model: nn.Module) -> bool:
    """Says what loevlie/neuropt's `_detect_pretrained` says: the median variance against the default is below 0.5."""
    ratios = []
    for p in model.parameters():
        if p.dim() >= 2:
            expected, actual = 1 / (3 * math.prod(p.shape[1:])), p.data.var().item()
            if actual > 0:
                ratios.append(actual / expected)
    return bool(ratios) and sorted(ratios)[len(ratios) // 2] < 0.5


@dataclass
class Row:
    """The counts of one family."""

    family: str
    truth: bool
    count: int = 0
    rule_wrong: int = 0
    wrong: list[str] = field(default_factory=list)
    uncertain: int = 0
    rule_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, name: str, model: nn.Module) -> None:
        """Asks both about one model."""
        self.count += 1
        began = time.process_time()
        try:
            self.rule_wrong += variance_rule(model) != self.truth
        except (RuntimeError, ValueError):  # It reads the numbers of tensors that have none.
            self.rule_wrong += 1
        middle = time.process_time()
        evidence = look_for_training(model)
        self.seconds.append(time.process_time() - middle)
        self.rule_seconds.append(middle - began)
        self.uncertain += not evidence.certain
        if evidence.trained != self.truth:
            self.wrong.append(f"{name}{'' if evidence.certain else ' (uncertain)'}")

    def __str__(self) -> str:
        if not self.count:
            return f"| {self.family} | {'trained' if self.truth else 'random'} | 0 | | | | | |"
        rule, ours = statistics.median(self.rule_seconds), statistics.median(self.seconds)
        return (
            f"| {self.family} | {'trained' if self.truth else 'random'} | {self.count} | {self.rule_wrong} "
            f"| {len(self.wrong)} | {self.uncertain} | {rule:.3f} | {ours:.3f}, {max(self.seconds):.2f} |"
        )


def built(models: Iterable[tuple[str, zoo.Make]]) -> Iterator[tuple[str, nn.Module]]:
    """Builds one after the other; what its library cannot build is left out."""
    for seed, (name, make) in enumerate(models):
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = make()
            except Exception as error:  # noqa: BLE001 - other people's builders fail in their own ways
                print(f"left out: {name} ({type(error).__name__}: {str(error)[:80]})", flush=True)
                continue
        yield name, model


def digits(epochs: int) -> Iterator[tuple[str, nn.Module, float]]:
    """Trains each net with each optimizer on sklearn's digits and yields it with its accuracy."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.tensor(data.data, dtype=torch.float32) / 16
    y = torch.tensor(data.target)
    pairs = itertools.product(zoo.NETS.items(), OPTIMIZERS.items())
    for seed, ((name, net), (label, make)) in enumerate(pairs):
        torch.manual_seed(seed)
        model = net()
        optimizer = make(model.parameters())
        for _ in range(epochs):
            for batch in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            accuracy = float((model.eval()(x).argmax(1) == y).float().mean())
        yield f"{name}, {label}, {epochs} epochs", model, accuracy


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Goes through the families."""
    random = {
        "written by hand": zoo.hand_written(),
        "adversarial": zoo.adversarial(),
        "torchvision": zoo.torchvision(options.millions),
        "timm": zoo.timm(options.timm, options.millions),
        "transformers": zoo.transformers(options.transformers),
    }
    sources = [(name, False, models) for name, models in random.items()]
    for family, truth, models in [*sources, ("EfficientNet-Lite0, ImageNet", True, zoo.imagenet())]:
        row = Row(family, truth)
        try:
            for name, model in built(models):
                row.add(name, model)
        except ModuleNotFoundError as error:
            row.family += f" ({error.name} is not installed)"
        yield row
    learnt, barely = Row(f"digits, accuracy >= {LEARNT}", True), Row(f"digits, accuracy < {LEARNT}", True)
    for epochs in options.epochs:
        for name, model, accuracy in digits(epochs):
            (learnt if accuracy >= LEARNT else barely).add(name, model)
    yield from (learnt, barely)


def versions() -> str:
    """Returns the versions of the libraries whose models were asked about."""
    found = []
    for name in ("torch", "torchvision", "timm", "transformers"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


def main() -> None:
    """Prints the table, and writes it where it is asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timm", type=int, default=80, help="how many of timm's models")
    parser.add_argument("--transformers", type=int, default=60, help="how many of transformers' architectures")
    parser.add_argument("--millions", type=float, default=30, help="largest torchvision and timm model, in parameters")
    parser.add_argument("--epochs", type=int, nargs="*", default=[3, 10], help="epochs on digits")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    head = "| family | truth | n | variance rule wrong | evidence wrong | evidence uncertain "
    lines = [f"{head}| rule, CPU s, median | evidence, CPU s, median and max |", "|---|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    wrong = []
    for row in rows(options):
        lines.append(str(row))
        wrong += [f"- {row.family}: {name}" for name in row.wrong]
        print(lines[-1], flush=True)
    tail = ["", "Wrong by evidence:", "", *(wrong or ["- none"]), "", f"Whole run: {time.monotonic() - began:.0f} s."]
    print("\n".join(tail), flush=True)
    if options.out:
        command = f"    python benchmarks/pretrained_detection.py --timm {options.timm} --transformers"
        command += f" {options.transformers} --millions {options.millions:g}"
        command += f"\n\n{versions()}; one thread, CPU."
        options.out.write_text("\n".join([command, "", *lines, *tail]) + "\n")


if __name__ == "__main__":
    main()
