"""Parameter groups for any torch optimizer: rates that decay with depth, no weight decay where it does harm."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import DepthGroup, owner

REFERENCE_DEPTH = 12
"""Groups between stem and head to which `layer_rate` is normalised: the blocks of a ViT-B."""


def layer_rate(lr: float, decay: float, group: int, last: int, reference: int | None = REFERENCE_DEPTH) -> float:
    """Returns the learning rate of a depth group: ``lr * decay ** (reference / last * (last - group))``.

    The head (group `last`) learns at `lr`, the stem (group 0) at ``lr * decay ** reference``, whatever the model's
    depth. This is layer-wise decay as in BEiT (Bao et al. 2021, `optim_factory.py`) and MAE (He et al. 2021,
    `lr_decay.py`), ``decay ** (layers + 1 - layer)``, with the exponent scaled to 12 groups, so that one value of
    `decay` means the same on a ResNet-18 as on a ViT-L; without the scaling deep networks would all but freeze at a
    value that shallow ones hardly feel.

    Args:
        lr: The head's learning rate.
        decay: The factor from one group to the one before it, in (0, 1]; 1 turns the decay off.
        group: 0 for the stem, up to `last` for the head.
        last: Index of the last group, 0 or more.
        reference: The depth at which `decay` means just that, 1 or more; None means it at every depth, as BEiT does.
    """
    return lr if last == 0 else lr * decay ** ((last if reference is None else reference) / last * (last - group))


def parameter_groups(
    model: nn.Module,
    groups: Sequence[DepthGroup],
    *,
    lr: float,
    weight_decay: float | None,
    decay: float,
    head: Collection[str] = (),
    head_mult: float = 1.0,
    reference: int | None = REFERENCE_DEPTH,
    decay_vectors: bool = False,
    names: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Returns one dict for each rate and weight decay, with absolute values that every torch scheduler honours.

    (timm's own layer decay writes a key ``lr_scale`` which torch's optimizers and schedulers ignore.)
    Each of `names` is in exactly one, and no other parameter in any. Norms, biases and other vectors and scalars (class
    tokens, layer scales) get no weight decay unless `decay_vectors`: pulling them to zero takes away scale and offset
    without making the function any simpler.

    Args:
        model: The model.
        groups: Its depth groups, stem first, head last.
        lr: The last group's learning rate, from which `decay` counts down.
        weight_decay: For weight matrices and kernels; None leaves the key out, so that the optimizer's argument holds.
        decay: The layer decay, in (0, 1].
        head: The head's parameters.
        head_mult: Their rate is so many times what it would be, above 0; it changes no other rate. A new layer starts
            from nothing and bears more than loaded ones: 10 in DAN (Long et al. 2015, arXiv:1502.02791, section 4.1).
        reference: The depth to which `decay` is normalised; see `layer_rate`.
        decay_vectors: Whether norms, biases and other vectors have weight decay like the rest.
        names: What the optimizer gets: all that it is to train at any time. None takes what requires a gradient now.

    Raises:
        ConfigError: Nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    wanted = {n for n, p in parameters.items() if p.requires_grad} if names is None else set(names)
    found: dict[tuple[float, float | None], dict[str, Any]] = {}
    for index, group in enumerate(groups):
        rate = layer_rate(lr, decay, index, len(groups) - 1, reference)
        for name in group.tensors:
            if name not in wanted:
                continue
            own = rate * head_mult if name in head else rate
            strength = weight_decay if decay_vectors or not _is_vector(model, name, parameters[name]) else 0.0
            stated = {} if strength is None else {"weight_decay": strength}
            made = found.setdefault((own, strength), {"params": [], "lr": own, **stated})
            made["params"].append(parameters[name])
    if not found:
        raise ConfigError("neuropt.freeze_strategy", "must leave something to train", mend="Use full or name a head.")
    placed = [id(p) for made in found.values() for p in made["params"]]
    assert sorted(placed) == sorted(id(parameters[n]) for n in wanted), "depth groups must partition the parameters"
    return list(found.values())


def _is_vector(model: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    if parameter.ndim < 3:
        return parameter.ndim < 2
    # ConvNeXt writes the scale of its channels as (c, 1, 1); a convolution with one output is a kernel all the same.
    kernel = isinstance(model.get_submodule(owner(name)), _ConvNd)
    return not kernel and parameter.numel() == max(parameter.shape)
