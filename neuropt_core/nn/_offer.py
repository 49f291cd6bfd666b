"""What is offered for a model: parameters that are safe on it, and the reasons for leaving out others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from neuropt_core.nn.graph import Trace
from neuropt_core.space import Categorical, Float, Parameter, Value, When

Preset = Literal["seed", "standard", "wide"]
"""``seed`` is loevlie/neuropt's own list, ``wide`` adds to ``standard`` what pays off only with a large budget."""


@dataclass(slots=True)
class Offer:
    """Collects what can be searched under the key `neuropt` of a job's config.

    Attributes:
        model: The model; whoever offers something leaves it as it is.
        seen: What `trace` found in it.
        head: Module paths of its head.
        current: The user's present values under ``neuropt``, by short name.
        parameters: What is offered so far, in the order in which it is shown.
        left_out: Name -> reason, for what is not offered.
    """

    model: nn.Module
    seen: Trace
    head: tuple[str, ...]
    current: Mapping[str, Value]
    parameters: list[Parameter] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def choose(
        self, name: str, choices: tuple[Value, ...], default: Value, note: str, when: tuple[When, ...] = ()
    ) -> None:
        """Offers one of `choices`; `default` is what a config without the key amounts to."""
        self.parameters.append(
            Categorical(
                name=f"neuropt.{name}",
                choices=choices,
                default=self.current.get(name, default),
                has_default=True,
                when=when,
                role=name,
                note=note,
            )
        )

    def number(
        self,
        name: str,
        low: float,
        high: float,
        default: float,
        note: str,
        when: tuple[When, ...] = (),
        *,
        log: bool = False,
    ) -> None:
        """Offers a real number in [low, high], on a log scale if `log`."""
        self.parameters.append(
            Float(
                name=f"neuropt.{name}",
                low=low,
                high=high,
                log=log,
                default=self.current.get(name, default),
                has_default=True,
                when=when,
                role=name,
                note=note,
            )
        )
