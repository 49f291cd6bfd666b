"""What stands where in a model: the layers that can be edited or that a reader wants counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from neuropt_core.nn.activations import activation_kind
from neuropt_core.nn.depth import block_paths, within
from neuropt_core.nn.dropout import DROPOUTS, at_usual, commonest
from neuropt_core.nn.droppath import drop_path_rates
from neuropt_core.nn.flow import Call, Flow
from neuropt_core.nn.pooling import AttentionPool, pool_kind, pools_to_one

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_RMS_NORM = getattr(nn, "RMSNorm", nn.LayerNorm)  # torch has it since 2.4.
_GATES = (nn.Sigmoid, nn.Hardsigmoid)
_FUSED = {"drop", "act"}


@dataclass(frozen=True, slots=True)
class Sites:
    """Where a model can be edited, as module paths; a module that stands in two places counts once.

    Attributes:
        activations: Hidden activations that can be swapped.
        rates: All dropout layers, with their rates.
        dropouts: Dropout layers at the usual rate.
        dropout: The usual rate: the commonest one; None without dropout layers.
        batchnorms: BatchNorm layers.
        layernorms: LayerNorm and RMSNorm layers.
        pools: Global pools: pools to a fixed size outside the blocks, after which no larger map appears.
        channels: Those of `pools` that leave one position, with the number of channels that they were seen to get:
            where attention can pool.
        attentions: ``nn.MultiheadAttention`` layers at the usual rate `mha_dropout`.
        mha_dropout: The commonest rate inside ``nn.MultiheadAttention``; None without such layers.
        drop_paths: Stochastic-depth layers, with their rates.
    """

    activations: tuple[str, ...]
    rates: Mapping[str, float]
    dropouts: tuple[str, ...]
    dropout: float | None
    batchnorms: tuple[str, ...]
    layernorms: tuple[str, ...]
    pools: tuple[str, ...]
    channels: Mapping[str, int]
    attentions: tuple[str, ...]
    mha_dropout: float | None
    drop_paths: Mapping[str, float]


def find_sites(model: nn.Module, flow: Flow | None = None) -> Sites:
    """Returns where `model` can be edited; changes nothing.

    Args:
        model: The model.
        flow: What a pass of it showed. With it, gates and outputs are known by what the data does; without, a gate is
            a module that holds a pool and a sigmoid, and nothing pools by attention.
    """
    flow = flow or Flow()
    modules = dict(model.named_modules())
    gates = _gates(model)
    inside = (*block_paths(model), *gates)
    rates = {path: float(m.p) for path, m in modules.items() if isinstance(m, DROPOUTS)}
    inner = {path: float(m.dropout) for path, m in modules.items() if isinstance(m, nn.MultiheadAttention)}
    activations = [path for path, m in modules.items() if activation_kind(m) and not within(path, gates)]
    pools = [path for path, m in modules.items() if pool_kind(m) and not within(path, inside)]
    if flow.calls:
        last = _last_features(modules, flow)
        activations = [path for path in activations if _is_hidden(flow, path, last)]
        pools = [path for path in pools if _is_global(flow, path)]
    return Sites(
        activations=tuple(activations),
        rates=rates,
        dropouts=at_usual(rates),
        dropout=commonest(rates.values()),
        batchnorms=tuple(path for path, m in modules.items() if isinstance(m, BATCH_NORMS) and _replaceable(m)),
        layernorms=tuple(path for path, m in modules.items() if _is_layernorm(m)),
        pools=tuple(pools),
        channels=_channels(modules, pools, flow),
        attentions=at_usual(inner),
        mha_dropout=commonest(inner.values()),
        drop_paths=drop_path_rates(modules),
    )


def _gates(model: nn.Module) -> list[str]:
    """Returns the paths of squeeze-and-excitation modules: they pool to gate channels, not to summarise an image."""
    return [
        path
        for path, module in model.named_modules()
        if path
        and any(pool_kind(child) for child in module.children())
        and any(isinstance(part, _GATES) for child in module.children() for part in (child, *_chain(child)))
    ]


def _chain(module: nn.Module) -> list[nn.Module]:
    return list(module.children()) if isinstance(module, nn.Sequential) else []


def _last_features(modules: Mapping[str, nn.Module], flow: Flow) -> int:
    """Returns when the last layer with weights of its own, or the last pool, began.

    What comes behind it shapes an output (``softplus(x) + eps``). What an edit may put in does not count.
    """
    ours = (nn.PReLU, AttentionPool)
    own = {path for path, m in modules.items() if any(True for _ in m.parameters(False)) and not isinstance(m, ours)}
    own |= {path for path, m in modules.items() if pool_kind(m)}
    return max((call.start for call in flow.calls if call.path in own), default=0)


def _is_hidden(flow: Flow, path: str, last: int) -> bool:
    """Tells whether an activation runs, and neither shapes an output nor works inside a gate."""
    calls = flow.by_path.get(path, ())
    return bool(calls) and not any(c.is_output or c.start > last or flow.is_squeezed(c) for c in calls)


def _is_global(flow: Flow, path: str) -> bool:
    """Tells whether a pool runs and its result is a summary, on which nothing but the head works."""
    calls = flow.by_path.get(path, ())
    above = path.rpartition(".")[0]
    around = [c for c in flow.by_path.get(above, ()) if above]
    # On a map of one position nothing can be seen to grow; what gives back the shape that it got refines a map.
    refines = any(c.before == c.after and len(c.before) > 2 for c in around)
    return bool(calls) and not refines and not any(flow.regrows(c) for c in calls)


def _channels(modules: Mapping[str, nn.Module], pools: list[str], flow: Flow) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in pools:
        seen = {_channels_of(call) for call in flow.by_path.get(path, ())}
        if pools_to_one(modules[path]) and len(seen) == 1:
            found[path] = seen.pop()
    return found


def _channels_of(call: Call) -> int:
    # (n, c, *space) and (c, *space) have the same number of dimensions before and after the pool.
    return call.after[1] if len(call.after) > 2 else 0


def _replaceable(norm: nn.Module) -> bool:
    """Tells whether a BatchNorm may go: a subclass that also does what is not known (timm's holds act and drop) not."""
    return set(norm._modules) <= _FUSED or "parametrizations" in norm._modules


def without_norm(norm: nn.Module) -> nn.Module:
    """Returns what stays of a norm that is taken out: the identity, or what else it did (timm's ``BatchNormAct2d``)."""
    parts = OrderedDict((name, part) for name in ("drop", "act") if (part := norm._modules.get(name)) is not None)
    return nn.Sequential(parts) if parts else nn.Identity()


def _is_layernorm(module: nn.Module) -> bool:
    if module._modules:
        return False
    return isinstance(module, (nn.LayerNorm, _RMS_NORM)) or type(module).__name__.endswith("RMSNorm")


def count_kinds(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yields (family, kind) of every activation, norm, dropout and global pool, each module once."""
    pools = set(find_sites(model).pools)
    for path, module in model.named_modules():
        kind = type(module).__name__
        if isinstance(module, BATCH_NORMS):
            yield "norms", "BatchNorm"
        elif isinstance(module, DROPOUTS):
            yield "dropouts", kind
        elif path in pools:
            yield "pools", pool_kind(module)
        elif isinstance(module, nn.MultiheadAttention):
            continue
        elif type(module).__module__ == "torch.nn.modules.activation" or activation_kind(module):
            yield "activations", kind
        elif kind.rstrip("123d").endswith("Norm"):
            yield "norms", kind.rstrip("123d")
