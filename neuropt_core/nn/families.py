"""Which family each part of a model belongs to: convolution, attention, recurrent, mlp, embedding, state space."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from torch import nn

_ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)
_SURELY_ATTENTION = re.compile(r"(attention|attn)(v?\d*d?)$", re.IGNORECASE)  # PerformerAttention, WindowAttentionV2
_STATE_SPACE = re.compile(r"mamba|ssm(?![a-z])|s4d?(?![a-z0-9])|s6(?![a-z0-9])|hyena", re.IGNORECASE)
_MIXING = ("convolution", "attention", "recurrent", "state space")
# Whole networks and blocks are named after what is in them ("AttentionUNet", "MambaBlock"): look inside those.
_LARGER = re.compile(r"(?i:net|model|former|block|stack|backbone|classifier|encoder$|decoder$)|For[A-Z]|LM$")


def claims(model: nn.Module, callers: Collection[str] = ()) -> dict[str, str]:
    """Returns module path -> family for the outermost modules of one family; none lies within another.

    Torch's own layers are known by their type. Attention is known by the class's name or by a call of
    ``scaled_dot_product_attention``, state-space layers by the class's name (Mamba, S4, Hyena).

    Args:
        model: The model.
        callers: Paths of the modules seen to call ``scaled_dot_product_attention`` themselves.
    """
    found: dict[str, str] = {}
    seen: set[int] = set()
    stack: list[tuple[str, nn.Module]] = [("", model)]
    while stack:
        path, module = stack.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        family = _family(module, is_root=not path, calls=path in callers)
        if family:
            found[path] = family
            continue
        children = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
        stack += reversed(children)
    return found


def shares_of_parameters(model: nn.Module, callers: Collection[str] = ()) -> dict[str, float]:
    """Returns family -> its share of the parameters, in [0, 1]; ``other`` are norms, tables and whatever is unknown.

    A parameter that two modules share counts where it is met first. Families without parameters are left out.
    """
    sizes = {id(p): p.numel() for p in model.parameters() if not nn.parameter.is_lazy(p)}
    total = sum(sizes.values())
    counts: dict[str, int] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for path, family in claims(model, callers).items():
        own = sum(sizes.pop(id(p), 0) for p in modules[path].parameters())
        if own:
            counts[family] = counts.get(family, 0) + own
    if sum(sizes.values()):
        counts["other"] = sum(sizes.values())
    return {family: count / total for family, count in sorted(counts.items(), key=lambda item: -item[1])}


def main_family(claimed: Mapping[str, str], shares: Mapping[str, float]) -> str:
    """Returns the family that mixes places, tokens or steps, the one with the largest share; else the largest of all.

    Linear layers do most of the work in transformers and ConvNeXts too, so they count only where nothing mixes. One
    convolution with less than half of the work cuts an image into patches and makes no convolutional network.

    Args:
        claimed: What `claims` returned.
        shares: Family -> share of the work or of the parameters.
    """
    kernels = sum(family == "convolution" for family in claimed.values())
    known = {family: share for family, share in shares.items() if family != "other"}
    mixing = {family: share for family, share in known.items() if family in _MIXING}
    if kernels == 1 and mixing.get("convolution", 0.0) < 0.5:
        mixing.pop("convolution", None)
    among = mixing or known
    return max(among, key=among.__getitem__) if among else ""


def _family(module: nn.Module, *, is_root: bool, calls: bool) -> str:
    name = type(module).__name__
    if isinstance(module, nn.modules.conv._ConvNd):
        return "convolution"
    if isinstance(module, nn.MultiheadAttention):
        return "attention"
    if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        return "recurrent"
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "embedding"
    if isinstance(module, (nn.Linear, nn.Bilinear)) or name in ("Conv1D", "LazyLinear"):  # GPT-2's linear layers.
        return "mlp"
    if is_root or not any(True for _ in module.parameters()):
        return ""
    if _SURELY_ATTENTION.search(name):
        return "attention"
    if _LARGER.search(name):
        return ""
    if calls or _ATTENTION.search(name):
        return "attention"
    return "state space" if _STATE_SPACE.search(name) else ""
