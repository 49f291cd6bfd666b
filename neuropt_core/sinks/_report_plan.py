"""What the report in W&B says, as plain data: a function of the scene, without a network or wandb."""

from __future__ import annotations

from typing import Any

from neuropt_core.sinks.base import Scene


def report_plan(scene: Scene, *, project: str, entity: str, draft: bool) -> dict[str, Any]:
    """Returns the report as plain JSON data.

    Args:
        scene: The study.
        project: Where the study's runs are.
        entity: Whose that is; "" for the account's default.
        draft: Whether the study goes on.
    """
    raise NotImplementedError
