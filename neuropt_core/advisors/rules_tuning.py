"""Rules for fine-tuning: what is frozen, how rates fall with depth, the pull towards what was loaded, norms."""

from __future__ import annotations

from neuropt_core.advisors.rules_base import Rule, Situation

FEW, MANY = 1_000, 20_000
"""Samples: below the one all of a large model overfits easily, above the other there is no reason to freeze."""

_DEEP = 8
"""Depth groups from which on early and late ones differ enough for a steep decay."""
_MEASURED = "benchmarks/results/fine_tuning.md"
_ULMFIT = "Howard and Ruder 2018 (ULMFiT), arXiv:1801.06146"
_KUMAR = "Kumar et al. 2022, arXiv:2202.10054"


def _few(situation: Situation) -> bool:
    return situation.samples is not None and situation.samples < FEW


def _some(situation: Situation) -> bool:
    return situation.samples is not None and FEW <= situation.samples < MANY


def _many(situation: Situation) -> bool:
    return situation.samples is not None and situation.samples >= MANY


TUNING = (
    Rule(
        role="freeze_strategy",
        likely=("gradual_unfreeze", "last_blocks", "lp_ft", "schedule", "lora", "norm_and_bias", "full", "head_only"),
        when=f"the task speaks of fewer than {FEW:,} samples",
        holds=_few,
        risk="The head alone is safe but stays behind where the new task is unlike the old one.",
        why="On few samples a large model may overfit when all of it trains, so that early layers are often frozen.",
        source=f"Yosinski et al. 2014, arXiv:1411.1792, section 1; {_MEASURED}",
    ),
    Rule(
        role="freeze_strategy",
        likely=("full", "lp_ft", "gradual_unfreeze", "schedule", "lora", "last_blocks", "norm_and_bias"),
        when=f"the task speaks of {FEW:,} to {MANY:,} samples",
        holds=_some,
        why="All weights may move, best once the head is no longer raw.",
        source=f"{_KUMAR}; {_ULMFIT}",
    ),
    Rule(
        role="freeze_strategy",
        likely=("full", "lp_ft", "lora", "schedule"),
        when=f"the task speaks of {MANY:,} samples or more",
        holds=_many,
        why="With many samples overfitting is less of a risk, and all weights may adapt.",
        source="Yosinski et al. 2014, arXiv:1411.1792, section 1; Kornblith et al. 2019, arXiv:1805.08974",
    ),
    Rule(
        role="lr_layer_decay",
        low=0.6,
        mode=0.75,
        high=1.0,
        when=f"{_DEEP} depth groups or more",
        holds=lambda s: s.groups >= _DEEP,
        risk="Below 0.6 the early layers hardly move, which a task unlike the old one needs.",
        why="0.65 to 0.8 for BEiT, MAE, ConvNeXt and base ELECTRA: early layers are general, late ones specific.",
        source="He et al. 2022 (MAE), arXiv:2111.06377, table 9 (0.75); microsoft/unilm (BEiT), "
        "facebookresearch/ConvNeXt, google-research/electra (code)",
    ),
    Rule(
        role="lr_layer_decay",
        low=0.75,
        mode=0.9,
        high=1.0,
        when=f"fewer than {_DEEP} depth groups, or their number is not known",
        risk="In a shallow network the first groups are a large part of it.",
        why="In our measurement 0.9 did better than 0.75 and 0.5.",
        source=_MEASURED,
    ),
    Rule(
        role="head_lr_mult",
        low=1.0,
        mode=10.0,
        high=20.0,
        risk="Together with a high rate a fast head shakes the features.",
        why="A new head has everything to learn: ten times the rate of what was loaded.",
        source="Long et al. 2015 (DAN), arXiv:1502.02791, section 4.1",
    ),
    Rule(
        role="l2sp_regularization",
        likely=("True", "False"),
        when=f"the task does not speak of {MANY:,} samples or more",
        holds=lambda s: not _many(s),
        risk="It holds back where the new task is unlike the old one.",
        why="Pulling towards the loaded weights beats pulling towards zero, most on little data.",
        source=f"Li et al. 2018, arXiv:1802.01483; {_MEASURED}",
    ),
    Rule(
        role="l2sp_regularization",
        likely=("False", "True"),
        when=f"the task speaks of {MANY:,} samples or more",
        holds=_many,
        why="It gains most on little data, and need not help where the tasks are unlike.",
        source="Li et al. 2018, arXiv:1802.01483; Li et al. 2020, arXiv:2002.11770",
    ),
    Rule(
        role="l2sp_strength",
        low=1e-3,
        mode=1e-2,
        high=1e-1,
        risk="Large values hold the weights where they were.",
        why="The paper searched 0.001 to 1 by factors of ten; 0.01 is a cautious choice from these.",
        source="Li et al. 2018, arXiv:1802.01483",
    ),
    Rule(
        role="bn_mode",
        likely=("recalibrate", "frozen", "train"),
        risk="On a small data set running statistics lag behind the weights, and what has learnt looks broken.",
        why="Recomputed or frozen statistics went from 0.31 to 0.82 and 0.87 accuracy where nothing else was changed.",
        source=_MEASURED,
    ),
    Rule(
        role="lora_rank",
        low=4,
        mode=8,
        high=32,
        why="Ranks of 1 to 8 did about as well as 64 in the paper; much data may ask for more.",
        source="Hu et al. 2021, arXiv:2106.09685, section 7.2; Schulman et al. 2025, LoRA Without Regret",
    ),
    Rule(
        role="lp_ft_share",
        low=0.1,
        mode=0.3,
        high=0.5,
        why="Long enough that the head is no longer raw when the features begin to move; the share is a guess.",
        source=f"{_KUMAR} (the two stages)",
    ),
)
