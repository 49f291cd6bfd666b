"""What no tool can work with, told in a sentence before anything is tried."""

from __future__ import annotations

from torch import nn

from neuropt_core.errors import ConfigError


def refuse_cycles(model: nn.Module, where: str) -> None:
    """Raises where a module is part of itself: torch's own ``train``, ``to`` and ``apply`` never return from there.

    Raises:
        ConfigError: A module is registered below itself.
    """
    done: set[int] = set()
    above: list[tuple[str, nn.Module, bool]] = [("", model, False)]
    open_: set[int] = set()
    while above:
        path, module, leaving = above.pop()
        if leaving:
            open_.discard(id(module))
            done.add(id(module))
        elif id(module) in open_:
            raise ConfigError(
                where,
                f"must not hold a module within itself ({path})",
                mend="Keep a reference to a parent outside of the modules, e.g. in a list.",
            )
        elif id(module) not in done:
            open_.add(id(module))
            above.append((path, module, True))
            above += [(f"{path}.{n}" if path else n, child, False) for n, child in module.named_children()]


def has_lazy(model: nn.Module) -> bool:
    """Tells whether some of a model's weights get their shape only from the first batch."""
    return any(nn.parameter.is_lazy(p) for p in model.parameters())


def refuse_lazy(model: nn.Module, where: str) -> None:
    """Raises where a setting needs the weights of a model that has none yet.

    Raises:
        ConfigError: A parameter is uninitialised.
    """
    if has_lazy(model):
        raise ConfigError(
            where,
            "needs all weights, and lazy layers get theirs from the first batch only",
            mend="Name the layers' input sizes, or run a batch through the model where it is made.",
        )


def why_not_tuned(model: nn.Module) -> str:
    """Returns why nothing of a model can be fine-tuned, or "": it can."""
    if has_lazy(model):
        return "lazy layers get their weights from the first batch only"
    return "" if any(p.requires_grad for p in model.parameters()) else "no parameter asks for a gradient"
