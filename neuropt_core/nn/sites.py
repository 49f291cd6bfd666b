"""What stands where in a model: the layers that can be edited or that a reader wants counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from neuropt_core.nn.depth import block_paths, within

SWAPPABLE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish,
    nn.Softplus,
)  # fmt: skip
# Tanh, Sigmoid and Softmax are left alone: they shape outputs and gates, where another range breaks the meaning.

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
POOL_TWINS: dict[type[nn.Module], type[nn.Module]] = {
    nn.AdaptiveAvgPool1d: nn.AdaptiveMaxPool1d,
    nn.AdaptiveAvgPool2d: nn.AdaptiveMaxPool2d,
    nn.AdaptiveAvgPool3d: nn.AdaptiveMaxPool3d,
}
POOL_TWINS |= {after: before for before, after in POOL_TWINS.items()}
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True, slots=True)
class Sites:
    """Where a model can be edited, as module paths; a module that stands in two places counts once.

    Attributes:
        activations: Hidden activations that can be swapped.
        dropouts: Dropout layers at the usual rate.
        dropout: The usual rate: the commonest one; None without dropout layers.
        batchnorms: BatchNorm layers.
        layernorms: LayerNorm layers.
        pools: Global pools: adaptive pools outside the blocks.
        attentions: ``nn.MultiheadAttention`` layers at the usual rate `mha_dropout`.
    """

    activations: tuple[str, ...]
    dropouts: tuple[str, ...]
    dropout: float | None
    batchnorms: tuple[str, ...]
    layernorms: tuple[str, ...]
    pools: tuple[str, ...]
    attentions: tuple[str, ...]
    mha_dropout: float | None


def find_sites(model: nn.Module) -> Sites:
    """Returns where `model` can be edited; changes nothing."""
    modules = dict(model.named_modules())
    gates = _gates(model)
    rates = {path: float(m.p) for path, m in modules.items() if isinstance(m, DROPOUTS)}
    inner = {path: float(m.dropout) for path, m in modules.items() if isinstance(m, nn.MultiheadAttention)}
    usual, mha_usual = _commonest(rates.values()), _commonest(inner.values())
    blocks = block_paths(model)

    def all_of(*kinds: type[nn.Module]) -> tuple[str, ...]:
        return tuple(path for path, module in modules.items() if isinstance(module, kinds))

    return Sites(
        activations=tuple(path for path in all_of(*SWAPPABLE) if not within(path, gates)),
        dropouts=tuple(path for path, rate in rates.items() if rate == usual),
        dropout=usual,
        batchnorms=all_of(*BATCH_NORMS),
        layernorms=all_of(nn.LayerNorm),
        pools=tuple(path for path in all_of(*POOL_TWINS) if not within(path, (*blocks, *gates))),
        attentions=tuple(path for path, rate in inner.items() if rate == mha_usual),
        mha_dropout=mha_usual,
    )


def _commonest(rates: Iterable[float]) -> float | None:
    counted = Counter(rates).most_common(1)
    return counted[0][0] if counted else None


def _gates(model: nn.Module) -> list[str]:
    """Returns the paths of squeeze-and-excitation modules: they pool to gate channels, not to summarise an image."""
    return [
        path
        for path, module in model.named_modules()
        if path
        and any(isinstance(child, tuple(POOL_TWINS)) for child in module.children())
        and any(isinstance(child, (nn.Sigmoid, nn.Hardsigmoid)) for child in module.modules())
    ]


def pool_kind(module: nn.Module) -> str:
    """Returns ``avg`` or ``max`` for an adaptive pool."""
    return "max" if "Max" in type(module).__name__ else "avg"


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
        elif type(module).__module__ == "torch.nn.modules.activation" or isinstance(module, SWAPPABLE):
            yield "activations", kind
        elif kind.rstrip("123d").endswith("Norm"):
            yield "norms", kind.rstrip("123d")
