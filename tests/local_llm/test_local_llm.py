"""A sweep that a real, small model advises: text that nobody scripted, from the SDK to the job. See docs/local_llm.md.

pytest -m local_llm -s       # -s shows what the model answered
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sweeps import Sweep, sweep

from neuropt_core.errors import LLMBadOutput
from neuropt_core.llm.reply import parse_reply
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal

if TYPE_CHECKING:
    from conftest import Recorder

# Choices alone: a grammar holds them, whereas small models leave every bound that is only written down.
SPACE = (
    "optimizer.lr=choice(0.0003,0.001,0.003,0.01,0.03)",
    "optimizer.weight_decay=choice(0.0,0.001,0.01)",
    "width=choice(16,32,64,128)",
    "act=choice(relu,gelu,tanh)",
)


def _told(done: Sweep, replies: list[str]) -> tuple[list[Proposal], list[Proposal]]:
    """Returns the proposals that ran after the baseline, and all legal ones that the model's replies hold."""
    spec = StudySpec.from_json(done.journal[0]["spec"])
    ran = [Proposal.from_json(r["proposal"]) for r in done.journal if r["op"] == "ask"]
    said: list[Proposal] = []
    for reply in replies:
        try:
            said += parse_reply(reply, spec.space, 10).proposals
        except LLMBadOutput:
            continue
    return ran[1:], said


@pytest.mark.local_llm
@pytest.mark.slow
def test_a_real_model_drives_a_sweep(tmp_path: Path, local_llm: Recorder) -> None:
    """Whatever the model says, three trials end with a score, and each says truly who proposed it."""
    done = sweep(
        tmp_path / "s",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.advisor=llm",
        f"hydra.sweeper.llm.base_url={local_llm.url}",
        f"hydra.sweeper.llm.model={local_llm.model}",
        "hydra.sweeper.llm.max_tokens=1500",
        "hydra.sweeper.llm.deadline=300",
        *SPACE,
        timeout=1500,
    )
    print(done.stdout, *local_llm.replies, sep="\n---\n")
    assert done.code == 0, done.stderr
    assert {n: o["state"] for n, o in done.told().items()} == dict.fromkeys(range(3), "COMPLETE")
    assert local_llm.replies
    ran, said = _told(done, local_llm.replies)
    for proposal in ran:
        found = [p for p in said if p.params == proposal.params and p.rationale == proposal.rationale]
        assert bool(found) == (proposal.source == "llm")
        assert proposal.stands_in_for == ("" if found else "llm")
