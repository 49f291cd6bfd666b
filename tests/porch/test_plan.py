"""Whether a script may read what a sweep would put under `neuropt`."""

from __future__ import annotations

from typing import Any

import pytest

import neuropt_core
from hydra_plugins.neuropt_sweeper._plan import _reads_neuropt
from neuropt_core.integrations.lightning import NeuroptCallback

CASES: list[tuple[dict[str, Any], dict[str, object], bool]] = [
    ({"neuropt_core": neuropt_core}, {}, True),
    ({"build": neuropt_core.build}, {}, True),
    ({"tune": neuropt_core.tune}, {}, True),
    ({"report": neuropt_core.report}, {}, False),
    ({"NeuroptCallback": NeuroptCallback}, {}, False),
    ({"checkpoint_dir": neuropt_core.checkpoint_dir, "TrialPruned": neuropt_core.TrialPruned}, {}, False),
    ({"NeuroptCallback": NeuroptCallback}, {"neuropt": {}}, True),
    ({}, {}, False),
]


@pytest.mark.parametrize(("names", "config", "reads"), CASES)
def test_who_only_reports_reads_no_settings(names: dict[str, Any], config: dict[str, object], reads: bool) -> None:
    """Settings are searched where something may build by them: not for a callback or a report alone."""
    task: Any = eval("lambda cfg: 0", names)
    assert _reads_neuropt(config, task) is reads
