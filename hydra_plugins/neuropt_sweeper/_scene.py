"""The study as the sinks see it, at one moment of a sweep."""

from __future__ import annotations

from collections.abc import Mapping

from hydra_plugins.neuropt_sweeper._flight import Flight
from hydra_plugins.neuropt_sweeper._parts import Parts
from neuropt_core.budget import Used
from neuropt_core.sinks.base import Scene
from neuropt_core.spending import spent


def scene_of(
    parts: Parts, flight: Flight, importance: Mapping[str, float], retries: Mapping[int, int], used: Used
) -> Scene:
    """Returns the scene.

    Args:
        parts: Of the sweep.
        flight: Its trials in flight.
        importance: The share of each parameter in what made trials good; empty while not known.
        retries: Trial number -> how often it was launched again.
        used: What has been used of the budgets.
    """
    study, composer = parts.study, parts.composer
    return Scene(
        spec=study.spec,
        trials=study.trials,
        n_trials=parts.n_trials,
        folder=composer.sweep_dir,
        command=parts.command,
        overrides={t.number: parts.shown(t.proposal) for t in study.trials},
        advisor=parts.advisor.name,
        spent=spent(study.consulted, parts.price),
        importance=importance,
        limits=parts.rules.limits,
        used=used,
        retries=retries,
        running=flight.begun,
        stopping=flight.stopping,
        left_out=frozenset({t.number for t in study.trials} - {t.number for t in study.current}),
        consulted=study.consulted,
        rejected=study.rejected,
        config=study.config,
        folders={number: composer.sweep_dir / folder for number, folder in study.folders.items()},
    )
