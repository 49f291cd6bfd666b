"""The history reaches the model and comes back: with scores at the wrong trials, a reader of it searches blindly."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest
from history_reader import reader, run_study

SEEDS, TRIALS = 8, 28


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_permuted_labels_make_a_reader_blind(tmp_path: Path, direction: str) -> None:
    """With each score at its own trial the same reader finds a far better trial, in either direction."""
    best: dict[bool, list[float]] = {False: [], True: []}
    for permuted in best:
        for seed in range(SEEDS):
            folder = tmp_path / f"{permuted}-{seed}"
            study = run_study(folder, TRIALS, seed, permuted=permuted, direction=direction)
            assert sum(t.proposal.source == "llm" for t in study.trials) > 0.8 * TRIALS
            assert study.best is not None
            best[permuted].append(abs(study.best.value or 0.0))
    assert sum(told < dealt for told, dealt in zip(best[False], best[True], strict=True)) >= SEEDS - 1
    assert statistics.median(best[False]) < 0.5 * statistics.median(best[True])


def test_the_reader_has_only_the_text() -> None:
    """What it proposes lies near the two best rows of the text, wherever these stand, and nowhere else."""
    system = "The score: smaller is better.\nlr = optimizer.lr: float, log scale, 1e-05 to 1.0; default 0.3"
    rows = [f"#{i} llm | lr={lr} | score {{}}, rank 1/3" for i, lr in enumerate((1e-5, 1e-3, 0.3))]
    # A step is at most a few of the reader's standard deviations, 0.12 of the range's five decades.
    for scores, near in (((9, 1, 1), {1e-3, 0.3}), ((1, 1, 9), {1e-5, 1e-3})):
        user = "\n".join(row.format(score) for row, score in zip(rows, scores, strict=True))
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        found = [reader(seed)(messages, {})["candidates"][0]["values"]["lr"] for seed in range(40)]
        closest = [min((1e-5, 1e-3, 0.3), key=lambda lr, got=got: abs(math.log(lr / got))) for got in found]
        assert sum(lr in near for lr in closest) >= 36
        assert near <= set(closest)
