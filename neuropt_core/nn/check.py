"""The proof that an edit works on a model: copies of it, edited, run forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from neuropt_core.nn.edits import RATES, Change, EditPlan, changes
from neuropt_core.nn.example import close, device_of, kept_generators, run, shadow, tensors_in, toy_loss
from neuropt_core.nn.flow import Flow, observe
from neuropt_core.nn.graph import Trace

NOWHERE = "there is no place for it"
_SIDE = 64
_QUANTISED = ("torch.ao.nn", "torch.nn.quantized", "torch.nn.intrinsic", "torch.ao.quantization", "torchao.")


class Prover:
    """Checks plans on copies of one model, which stays as it is.

    Args:
        model: The model.
        seen: What `trace` found in it; without an example nothing can be proved.
        head: Module paths of the head.
        flow: What a pass of it showed; None makes one.
    """

    def __init__(self, model: nn.Module, seen: Trace, head: tuple[str, ...], flow: Flow | None = None) -> None:
        self.flow = flow if flow is not None else observe(model, seen)
        self._model, self._head = model, head
        self._keys: frozenset[str] = frozenset()
        self.reason = _unfit(model) or (f"cannot be proved, since {seen.reason}" if seen.example is None else "")
        if not self.reason:
            self.reason = self._prepare(seen.example)

    def _prepare(self, example: Any) -> str:
        """Settles the example, and what comes out of the model in both modes; returns why there is nothing to see."""
        complaint = ""
        for smaller in _examples(self._model, example):
            try:
                twin = shadow(self._model).eval()
                with kept_generators(twin), torch.no_grad():
                    answer = run(twin, smaller)
                    self._trees = _tree(answer), _tree(run(twin.train(), smaller))
            except Exception as error:  # noqa: BLE001 - the model's own complaint; the larger example is tried
                complaint = f"{type(error).__name__}: {error}".splitlines()[0]
                continue
            self._keys = frozenset(self._model.state_dict())
            self._example, self._before = smaller, tensors_in(answer)
            return ""
        return f"cannot be proved, since the model itself does not run in train mode ({complaint})"

    def check(self, plan: EditPlan, *, preserving: bool, brief: bool = False) -> str:
        """Returns why the plan does not work, or "": nothing was found against it.

        The edited copy must change somewhere and run what it was given; keep the names of all weights that it keeps;
        answer in both modes with the same tree of outputs, finite; let a gradient flow back into what is new; draw
        random numbers where a rate is set; and, if `preserving`, answer in eval mode as the model does, to 1e-4.

        Args:
            plan: The edit.
            preserving: Whether the edit must not change the function that the model computes in eval mode.
            brief: Leaves out the pass in eval mode and, where nothing new can learn, asks of the way back only that
                no value on it was overwritten. Serves for a second layer of a kind that a full check has seen.
        """
        if self.reason:
            return self.reason
        try:
            return self._check(plan, preserving, brief)
        except Exception as error:  # noqa: BLE001 - an edit breaks a model in its own way; the reason is kept
            return f"the edited model fails ({type(error).__name__}: {error})".splitlines()[0]

    def _check(self, plan: EditPlan, preserving: bool, brief: bool) -> str:
        edited = shadow(self._model).eval()
        known = {name for name, _ in edited.named_parameters()}
        old = {id(module): module for module in edited.modules()}
        made = changes(plan, edited, self._head, self.flow)
        if not made:
            return NOWHERE
        for change in made:
            change.make()
        if lost := self._lost(edited, made, preserving):
            return f"it takes away {lost}"
        used: set[int] = set()
        fresh = [module for module in edited.modules() if id(module) not in old]
        for module in fresh:
            module.register_forward_pre_hook(lambda m, _: used.add(id(m)))
        with kept_generators(edited):
            reason = "" if brief else self._evaluated(edited, preserving)
            reason = reason or self._trained(edited, known, brief)
        if not reason and fresh and not used:
            return "what it puts in is never called"
        return reason or self._dead(made)

    def _lost(self, edited: nn.Module, made: list[Change], preserving: bool) -> str:
        """Returns a tensor that has vanished though its layer was not taken out."""
        gone = self._keys - set(edited.state_dict())
        out = {id(self._model.get_submodule(path)) for change in made if not preserving for path in change.paths}
        places = tuple(f"{p}." for p, m in self._model.named_modules(remove_duplicate=False) if id(m) in out)
        return next((name for name in sorted(gone) if not name.startswith(places)), "")

    def _evaluated(self, edited: nn.Module, preserving: bool) -> str:
        with torch.no_grad():
            answer = run(edited.eval(), self._example)
        if _tree(answer) != self._trees[0]:
            return "its outputs have other shapes"
        after = tensors_in(answer)
        if not all(bool(torch.isfinite(t).all()) for t in after):
            return "its outputs are not finite"
        return "it changes what the model computes" if preserving and not close(self._before, after) else ""

    def _trained(self, edited: nn.Module, known: set[str], brief: bool) -> str:
        with torch.enable_grad():
            answer = run(edited.train(), self._example)
        if _tree(answer) != self._trees[1]:
            return "its outputs have other shapes in train mode"
        outputs = tensors_in(answer)
        if not all(bool(torch.isfinite(t).all()) for t in outputs):
            return "its outputs are not finite"
        new = {name: p for name, p in edited.named_parameters() if name not in known}
        if still := [name for name, p in new.items() if not p.requires_grad]:
            return f"{still[0]} cannot be trained"
        roots = [t for t in outputs if t.grad_fn is not None]
        # Without new weights one old one shows that the way back is open; gradients of all would only cost time.
        wanted = list(new.values()) or [p for p in edited.parameters() if p.requires_grad][:1]
        if not roots or not wanted:
            return ""
        if brief and not new:
            _unpack([t.grad_fn for t in roots])
            return ""
        gradients = torch.autograd.grad(toy_loss(roots), wanted, allow_unused=True)
        return next((f"no gradient reaches {n}" for n, g in zip(new, gradients, strict=False) if g is None), "")

    def _dead(self, made: list[Change]) -> str:
        """Returns why a rate has no effect; a layer that does not run may still lend its rate to a function."""
        silent = {
            change.setting
            for change in made
            if change.setting in RATES and not any(path in self.flow.by_path for path in change.paths)
        }
        for setting in sorted(silent):
            some, none = ({setting: rate} for rate in (0.5, 0.0))
            if self._draws(EditPlan(**some)) == self._draws(EditPlan(**none)):  # type: ignore[arg-type]
                before_head = any("in front of the head" in c.what for c in made if c.setting == setting)
                where = "the head is used only by its weights, so that nothing in front of it can be reached"
                return where if before_head else "no layer with such a rate is used"
        return ""

    def _draws(self, plan: EditPlan) -> list[int]:
        """Returns the state of the random generator after a pass in train mode."""
        edited = shadow(self._model).train()
        for change in changes(plan, edited, self._head, self.flow):
            change.make()
        with kept_generators(edited), torch.no_grad():
            torch.manual_seed(0)
            run(edited, self._example)
            device = device_of(edited)
            state = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
            return list(state.tolist())


def _unfit(model: nn.Module) -> str:
    """Returns why a model is none that can be edited."""
    for path, module in model.named_modules():
        name = f"the model's {path!r}" if path else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            return f"{name} is a ScriptModule, whose code is fixed"
        if type(module).__name__ == "OptimizedModule":
            return f"{name} is compiled; compile what neuropt_core.build returns instead"
        if type(module).__module__.startswith(_QUANTISED):
            return f"{name} is quantised, and has no gradient"
    return ""


def _examples(model: nn.Module, example: Any) -> Iterator[Any]:
    """Yields cheaper inputs that show as much, then `example` itself.

    One sample serves where none depends on the others in its batch; a large image is tried at 64 pixels, which leave
    2 x 2 positions behind the strides of 32 of common networks.
    """
    if not isinstance(example, torch.Tensor):
        yield example
        return
    example = example.to(device_of(model))
    mixing = any("BatchNorm" in type(m).__name__ or getattr(m, "track_running_stats", False) for m in model.modules())
    batch = example if mixing else example[:1]
    if example.ndim == 4 and example.is_floating_point() and min(example.shape[2:]) > _SIDE:
        yield batch[..., :_SIDE, :_SIDE].contiguous()
    if batch is not example:
        yield batch
    yield example


def _tree(output: object) -> object:
    """Returns the structure of an output: containers by type and key, tensors by shape, the rest by type."""
    if isinstance(output, torch.Tensor):
        return tuple(output.shape)
    if isinstance(output, Mapping):
        return type(output).__name__, tuple((key, _tree(value)) for key, value in output.items())
    if isinstance(output, (tuple, list)):
        return type(output).__name__, tuple(_tree(value) for value in output)
    return type(output).__name__


def _unpack(roots: list[Any]) -> None:
    """Reads every value that the way back needs, at which torch raises where one was overwritten."""
    seen, stack = set(roots), list(roots)
    while stack:
        node = stack.pop()
        for name in dir(node):
            if name.startswith("_saved_") or name == "saved_tensors":
                getattr(node, name)
        fresh = [child for child, _ in node.next_functions if child is not None and child not in seen]
        seen.update(fresh)
        stack += fresh
