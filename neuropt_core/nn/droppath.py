"""Stochastic depth: whole branches dropped per sample, the later the block the more often."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def drop_path_attribute(module: nn.Module) -> str:
    """Returns the attribute that holds a stochastic-depth layer's rate; "" for any other layer.

    Known by name, so that no library need be imported: ``torchvision.ops.StochasticDepth`` has `p`; timm's ``DropPath``
    and those of transformers (``SwinDropPath``, ``BeitDropPath``) have `drop_prob`. timm builds ``nn.Identity`` at rate
    0: there is no layer, then, and nothing that could be set.
    """
    name = type(module).__name__
    if not name.endswith(("DropPath", "StochasticDepth")):
        return ""
    return next((a for a in ("drop_prob", "p") if isinstance(vars(module).get(a, ""), (int, float, type(None)))), "")


def drop_path_rates(modules: Mapping[str, nn.Module]) -> dict[str, float]:
    """Returns path -> rate in [0, 1] of all stochastic-depth layers, in the order of `modules`."""
    found = {path: (module, drop_path_attribute(module)) for path, module in modules.items()}
    return {path: float(vars(module)[key] or 0.0) for path, (module, key) in found.items() if key}


def ramp(rates: Mapping[str, float], rate: float) -> dict[str, float]:
    """Returns path -> rate such that the largest is `rate` and all keep their proportions.

    Where all are 0, the linear rule of Huang et al. 2016, "Deep Networks with Stochastic Depth", eq. 4, from 0 in the
    first block to `rate` in the last; layers of one parent are of one block.

    Args:
        rates: The present rates, in order of depth.
        rate: The last block's, in [0, 1).
    """
    top = max(rates.values(), default=0.0)
    if top > 0:
        return {path: rate if present == top else present * (rate / top) for path, present in rates.items()}
    blocks = list(dict.fromkeys(path.rpartition(".")[0] for path in rates))
    last = max(len(blocks) - 1, 1)
    position = {block: (index if len(blocks) > 1 else 1) / last for index, block in enumerate(blocks)}
    return {path: rate * position[path.rpartition(".")[0]] for path in rates}
