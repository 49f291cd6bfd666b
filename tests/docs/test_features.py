"""The table of features names proofs that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line.strip("| ").split(" | ")
    for line in (ROOT / "docs" / "features.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| Feature |")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_each_feature_has_its_proof(row: list[str]) -> None:
    """The test that a row names stands in the file that it names, with a sentence of its own."""
    _, _, proof = row
    file, name = re.fullmatch(r"`(tests/\S+\.py)::(test_\w+)`", proof).groups()
    found = [node for node in ast.parse((ROOT / file).read_text()).body if getattr(node, "name", "") == name]
    assert len(found) == 1, proof
    assert ast.get_docstring(found[0])


def test_no_proof_serves_two_features() -> None:
    """Each row has a proof of its own."""
    proofs = [row[2] for row in ROWS]
    assert len(set(proofs)) == len(proofs) > 40
