"""How well parameters are ordered by depth: against the groups that timm's authors wrote down for their own models.

    python benchmarks/depth_order.py [--each 6] [--millions 16] [--seconds 300] [--out FILE]

Prints two Markdown tables. Discordance is the share of parameter pairs, in different groups of timm's, that an order
puts the other way round; pairs that it does not tell apart do not count, and are given beside
it. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import itertools
import logging
import math
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pretrained_zoo as zoo
import torch
from pretrained_detection import built, versions
from torch import nn

from neuropt_core.nn.depth import depth_groups
from neuropt_core.nn.graph import Trace, trace
from neuropt_core.nn.head import find_head

Order = Mapping[str, int]
FAR = 0.05  # A discordance that is worth naming the model.


def discordance(order: Order, truth: Order) -> tuple[float, float]:
    """Returns the shares of pairs in different groups of `truth` that `order` turns round, and does not tell apart.

    Groups are counted, not pairs: (parameters in `order` group i and `truth` group j) is all that matters.
    """
    places = sorted({order[n] for n in truth})
    depths = sorted(set(truth.values()))
    table = torch.zeros(len(places), len(depths), dtype=torch.float64)
    for name, depth in truth.items():
        table[places.index(order[name]), depths.index(depth)] += 1
    # Parameters that lie in a later place and at a lesser depth than those of each cell.
    later = table.sum(0) - table.cumsum(0)
    wrong = float((table * (later.cumsum(1) - later)).sum())
    within = float((table.sum(1) ** 2).sum() - (table**2).sum()) / 2
    pairs = float(table.sum() ** 2 - (table.sum(0) ** 2).sum()) / 2
    return (wrong / pairs, within / pairs) if pairs else (0.0, 0.0)


def orders(model: nn.Module, seen: Trace) -> dict[str, Order]:
    """Returns the order of registration, that of our groups without timm's word, and that of our groups as shipped."""
    head = find_head(model, seen)
    found: dict[str, Order] = {"registration": {name: i for i, (name, _) in enumerate(model.named_parameters())}}
    for way, ask in (("graph and blocks", False), ("shipped", True)):
        groups = depth_groups(model, seen, head, ask_library=ask)
        found[way] = {name: index for index, group in enumerate(groups) for name in group.tensors}
    return found


@dataclass
class Row:
    """What one way of ordering made of a family of models."""

    shares: list[float] = field(default_factory=list)
    tied: list[float] = field(default_factory=list)
    far: list[str] = field(default_factory=list)

    def add(self, name: str, share: float, tied: float) -> None:
        """Takes in one model."""
        self.tied.append(tied)
        self.shares.append(share)
        if share >= FAR:
            self.far.append(f"{name} {100 * share:.1f} %")

    def __str__(self) -> str:
        exact = sum(share == 0 for share in self.shares)
        mean, worst = 100 * statistics.mean(self.shares), 100 * max(self.shares)
        return f"{mean:.2f} % | {worst:.1f} % | {exact} | {100 * statistics.mean(self.tied):.1f} %"


def families(each: int, most: float) -> Iterator[tuple[str, zoo.Make]]:
    """Yields models of at most `most` million parameters, `each` of a family, all first ones before all second ones."""
    library = importlib.import_module("timm")
    names = [library.list_models(module=module) for module in library.list_modules()]
    spread = [[n[i * len(n) // min(each, len(n))] for i in range(min(each, len(n)))] for n in names if n]
    for name in (name for turn in itertools.zip_longest(*spread) for name in turn if name):
        size = math.inf
        with torch.device("meta"), warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            size = sum(p.numel() for p in library.create_model(name).parameters())
        if size <= most * 1e6:
            yield name, lambda name=name: library.create_model(name)


def compare(options: argparse.Namespace) -> Iterator[str]:
    """Yields the lines about timm's models; as many as fit in the time, one of each family first."""
    from timm.models._manipulate import group_parameters

    rows = {way: Row() for way in ("registration", "graph and blocks", "shipped")}
    counts, still, silent, asked, seconds = [], [], [], 0, []
    began = time.monotonic()
    for name, model in built(families(options.each, options.millions)):
        if time.monotonic() - began > options.seconds:
            break
        if not hasattr(model, "group_matcher"):
            still.append(name)
            continue
        truth = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
        start = time.process_time()
        seen = trace(model)
        seconds.append(time.process_time() - start)
        asked += 1
        if seen.example is None:
            silent.append(name)
        found = orders(model, seen)
        for way, order in found.items():
            rows[way].add(name, *discordance(order, truth))
        counts.append((len(set(found["graph and blocks"].values())), len(set(truth.values()))))
    yield "| order | mean discordance | worst | exact | not told apart, mean |"
    yield "|---|---|---|---|---|"
    yield from (f"| {way} | {row} |" for way, row in rows.items())
    yield ""
    ours, timms = (statistics.median(column) for column in zip(*counts, strict=True))
    yield f"{asked} models of timm up to {options.millions:g} M parameters; {asked - len(silent)} ran on a guessed"
    yield f"input, in {statistics.median(seconds):.2f} s of CPU by the median and {max(seconds):.1f} at most."
    yield f"Groups, by the median: {ours:g} by graph and blocks, {timms:g} by timm."
    yield f"Did not run: {', '.join(silent) or 'none'}."
    yield f"Without a matcher of their own, so not compared: {', '.join(still) or 'none'}."
    for way, row in rows.items():
        if row.far:
            yield f"Farthest off by {way}: {', '.join(row.far)}."


def elsewhere(millions: float) -> Iterator[str]:
    """Yields the lines about models that are not timm's, for which timm's layer decay finds next to no layers."""
    from timm.optim import param_groups_layer_decay

    yield "| model | timm: rates | ours: groups | from | to |"
    yield "|---|---|---|---|---|"
    wanted = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "convnext_tiny", "densenet121")
    models = [*((n, m) for n, m in zoo.torchvision(millions) if n in wanted), *_transformers()]
    for name, model in built(models):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rates = {group["lr_scale"] for group in param_groups_layer_decay(model, layer_decay=0.75)}
        seen = trace(model)
        groups = depth_groups(model, seen, find_head(model, seen))
        yield f"| {name} | {len(rates)} | {len(groups)} | {groups[0].name} | {groups[-1].name} |"


def _transformers() -> Iterator[tuple[str, zoo.Make]]:
    library = importlib.import_module("transformers")
    small = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128}
    for kind in ("Bert", "Roberta", "Electra", "ViT"):
        task = "ForImageClassification" if kind == "ViT" else "ForSequenceClassification"

        def make(kind: str = kind, task: str = task) -> nn.Module:
            config = getattr(library, f"{kind}Config")(**small)
            return getattr(library, f"{kind}{task}")(config)

        yield f"{kind}{task}", make


def main() -> None:
    """Prints the tables, and writes them where it is asked to."""
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=6, help="how many models of each of timm's families")
    parser.add_argument("--millions", type=float, default=16, help="the largest of them, in million parameters")
    parser.add_argument("--seconds", type=float, default=300, help="when to stop taking another one")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # timm says of each model that its layer decay has no effect; the table does too.
    next(held := zoo.torchvision_models())  # timm imports torchvision, too.
    lines = []
    began = time.monotonic()
    for line in (*compare(options), "", "timm's `param_groups_layer_decay` on what is not timm's:", ""):
        lines.append(line)
    lines += elsewhere(30)
    lines += ["", f"Whole run: {time.monotonic() - began:.0f} s."]
    held.close()
    print("\n".join(lines), flush=True)
    if options.out:
        command = (
            f"    python benchmarks/depth_order.py --each {options.each} --millions {options.millions:g} --seconds"
        )
        command += f" {options.seconds:g}"
        options.out.write_text("\n".join([command, "", f"{versions()}; one thread, CPU.", "", *lines]) + "\n")


if __name__ == "__main__":
    main()
