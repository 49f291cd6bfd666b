"""LoRA and DoRA: small trainable matrices beside frozen weights, through `peft`, only where a gradient reaches them."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Collection, Iterable
from types import ModuleType

import torch
from torch import nn

from neuropt_core.errors import ConfigError
from neuropt_core.nn.depth import DepthGroup, block_paths, within
from neuropt_core.nn.example import kept_generators, run, shadow, tensors_in, toy_loss
from neuropt_core.nn.graph import Trace

SCALE = 2
"""alpha / rank, by which peft multiplies what an adapter adds.

Hu et al., LoRA (ICLR 2022, arXiv:2106.09685), section 4.1, divide by the rank so that a rate that suits one rank suits
others, and hold that alpha is tuned as the learning rate is: one of the two is enough to search. 2 is what guides to
peft advise most.
"""

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def has_attention(model: nn.Module) -> bool:
    """Tells whether a model has an attention layer, whoever wrote it: one whose class says so."""
    return any("attention" in (name := type(m).__name__.lower()) or name.endswith("attn") for m in model.modules())


def find_targets(
    model: nn.Module, seen: Trace, head: tuple[str, ...], fresh: Collection[str] = ()
) -> tuple[tuple[str, ...], str]:
    """Returns the paths of the layers that get an adapter, and why there are none, or "".

    They are the linear layers and plain convolutions of the blocks, of all before the head in a model without blocks.
    Left out are the head and fresh layers, which train in full; what the user has frozen; weights used in several
    places or made of others (parametrisations); convolutions with groups or dilation, which peft cannot do or does
    wrongly; and layers that are used by their ``.weight`` alone (``out_proj`` of ``nn.MultiheadAttention``, those of
    torchvision's Swin and timm's BEiT), whose adapters would never be called: one backward pass on a copy tells them.

    Args:
        model: The model; it stays as it is.
        seen: What `trace` found in it; without an example nothing can be proved.
        head: Module paths of the head.
        fresh: Names of the tensors that were not loaded.

    Raises:
        ConfigError: peft is not installed or cannot be imported.
    """
    load_peft()
    if any(hasattr(module, "lora_A") for module in model.modules()):
        return (), "the model carries adapters of its own"
    fitting = _fitting(model, head, frozenset(fresh))
    if not fitting:
        return (), "there is no layer for an adapter before the head"
    if seen.example is None:
        return (), f"that a gradient reaches the adapters cannot be proved, since {seen.reason}"
    try:
        alive = _alive(model, seen.example, fitting)
    except Exception as error:  # noqa: BLE001 - an adapter breaks a model in the model's own way; the reason is kept
        return (), f"the model fails with adapters ({type(error).__name__}: {error})".splitlines()[0]
    return alive, "" if alive else "no gradient reaches an adapter in any layer"


def _fitting(model: nn.Module, head: tuple[str, ...], fresh: frozenset[str]) -> tuple[str, ...]:
    uses: dict[int, int] = {}
    for _, parameter in model.named_parameters(remove_duplicate=False):
        uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    blocks = block_paths(model)
    found = []
    for path, module in model.named_modules():
        if not path or path in head or within(path, head) or (blocks and not within(path, blocks)):
            continue
        own = dict(module.named_parameters(recurse=False))
        weight = own.get("weight")
        if weight is None or not _bears(module) or fresh.intersection(f"{path}.{name}" for name in own):
            continue
        if weight.requires_grad and weight.is_floating_point() and uses[id(weight)] == 1:
            found.append(path)
    return tuple(found)


def _bears(module: nn.Module) -> bool:
    """Tells whether peft can put an adapter beside a layer that means the same as a change of its weight."""
    if isinstance(module, nn.Linear):
        return type(module).forward is nn.Linear.forward and not hasattr(module, "parametrizations")
    if isinstance(module, _CONVOLUTIONS):
        plain = type(module) in _CONVOLUTIONS and module.groups == 1 and module.padding_mode == "zeros"
        return plain and all(step == 1 for step in module.dilation)
    return type(module).__name__ == "Conv1D" and type(module).__module__ == "transformers.pytorch_utils"


def _alive(model: nn.Module, example: torch.Tensor, paths: tuple[str, ...]) -> tuple[str, ...]:
    twin = shadow(model).eval()
    with kept_generators(model), torch.enable_grad():
        _inject(twin, paths, rank=1, dora=False)
        ends = {path: twin.get_submodule(f"{path}.lora_B.default").get_parameter("weight") for path in paths}
        outputs = tensors_in(run(twin, example))
        loss = toy_loss(outputs)
        if not loss.requires_grad:
            return ()
        gradients = torch.autograd.grad(loss, list(ends.values()), allow_unused=True)
    return tuple(path for path, gradient in zip(ends, gradients, strict=True) if gradient is not None)


class Adapters:
    """Adapters in a model, put in place by ``peft``: the model stays the object that it was and computes what it did.

    Hu et al., LoRA (arXiv:2106.09685), equation 3: ``W x + scale * B A x`` with B zero at the start. DoRA (Liu et al.,
    ICML 2024, arXiv:2402.09353) trains the length of each column of the weight too.

    Args:
        model: The model, owned by the caller; adapters are put in, and nothing is frozen.
        targets: Paths of the layers, as `find_targets` names them.
        rank: Rows of A and columns of B, 1 or more.
        dora: Whether to train the columns' lengths.

    Raises:
        ConfigError: peft is not installed or cannot be imported.
    """

    def __init__(self, model: nn.Module, targets: tuple[str, ...], rank: int, dora: bool) -> None:
        self._model, self._targets = model, targets
        old = {id(p): (name, p.requires_grad) for name, p in model.named_parameters()}
        self._set = _inject(model, targets, rank, dora)
        self._names: dict[str, str] = {}
        new: list[str] = []
        for name, parameter in model.named_parameters():
            if id(parameter) in old:  # peft freezes all that is not its own; what trains is not its business here.
                before, trains = old[id(parameter)]
                self._names[before] = name
                parameter.requires_grad_(trains)
            else:
                new.append(name)
        self.tensors = tuple(new)
        """The names of the adapters' parameters."""

    def renamed(self, names: Iterable[str]) -> tuple[str, ...]:
        """Returns what parameters are called with the adapters in place."""
        return tuple(self._names[name] for name in names)

    def regrouped(self, groups: Iterable[DepthGroup]) -> tuple[DepthGroup, ...]:
        """Returns depth groups with the names of now, and each adapter in the group of its layer's weight."""
        beside: dict[str, list[str]] = {}
        for name in self.tensors:
            beside.setdefault(name.partition(".lora_")[0], []).append(name)
        return tuple(
            DepthGroup(
                group.name,
                (
                    *self.renamed(group.tensors),
                    *(n for t in group.tensors if t.endswith(".weight") for n in beside.get(t.rpartition(".")[0], ())),
                ),
            )
            for group in groups
        )

    def merge(self) -> None:
        """Folds the adapters into the weights and takes them out: all names are the model's own again."""
        for path in self._targets:
            layer = self._model.get_submodule(path)
            layer.merge()  # type: ignore[operator]
            above, _, name = path.rpartition(".")
            setattr(self._model.get_submodule(above), name, layer.get_base_layer())  # type: ignore[operator]
        for module, name, value in self._set:
            setattr(module, name, value)
        self._targets, self._set = (), []


def _inject(model: nn.Module, paths: tuple[str, ...], rank: int, dora: bool) -> list[tuple[nn.Module, str, object]]:
    """Puts adapters in place; returns what else was set: (module, attribute, value before)."""
    peft = load_peft()
    # A pattern, since peft takes a list's names for ends of names.
    config = peft.LoraConfig(
        r=rank, lora_alpha=SCALE * rank, target_modules="|".join(map(re.escape, paths)), use_dora=dora
    )
    modes = {path: model.get_submodule(path).training for path in paths}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")  # It finds out by itself, and says so.
        peft.inject_adapter_in_model(config, model)
    del model.peft_config  # The model's owner did not ask for an attribute.
    for path, mode in modes.items():
        model.get_submodule(path).train(mode)
    return _keep_slow(model, paths)


def _keep_slow(model: nn.Module, paths: tuple[str, ...]) -> list[tuple[nn.Module, str, object]]:
    """Keeps torch's encoders from their fast path; returns what was set.

    In eval mode without gradients ``nn.TransformerEncoderLayer`` hands its weights to one fused operator, which knows
    nothing of adapters: a network trained with them would be evaluated without. An encoder would pack padded input
    into nested tensors for that operator.
    """
    kinds = (
        (nn.TransformerEncoderLayer, "activation_relu_or_gelu", 0),
        (nn.TransformerEncoder, "use_nested_tensor", False),
    )
    found: list[tuple[nn.Module, str, object]] = []
    for place, module in model.named_modules():
        for kind, name, slow in kinds:
            if isinstance(module, kind) and (not place or any(within(path, (place,)) for path in paths)):
                found.append((module, name, getattr(module, name)))
                setattr(module, name, slow)
    return found


def load_peft() -> ModuleType:
    """Imports peft.

    Raises:
        ConfigError: It is not installed, or its import fails.
    """
    try:
        return importlib.import_module("peft")
    except Exception as error:  # peft imports transformers and more, each of which may fail in its own way.
        raise ConfigError(
            "neuropt.freeze_strategy",
            f"needs peft, whose import fails ({type(error).__name__}: {error})".splitlines()[0],
            got="lora",
            mend="pip install 'hydra-neuropt-sweeper[lora]'",
        ) from error
