"""Tests of the child process that looks into the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from apps import small_net

from hydra_plugins.neuropt_sweeper._introspect import introspect
from neuropt_core.errors import ConfigError
from neuropt_core.profile import ModelProfile


def _profile(folder: Path, **current: object) -> ModelProfile:
    torch.manual_seed(7)
    torch.save({f"model.{k}": v for k, v in small_net.small().state_dict().items()}, folder / "w.pt")
    # All is loaded, the head too: only what num_classes put in its place is fresh.
    node = {"_target_": "small_net.whole", "weights": str(folder / "w.pt")}
    raw = {"model": node}
    return introspect(node, where="model", raw=raw, space="standard", pretrained=None, current=current)  # type: ignore[arg-type]


def test_the_child_sees_the_head_that_the_job_will_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head for another number of classes is fresh, where the one that was loaded is not."""
    monkeypatch.syspath_prepend(str(Path(small_net.__file__).parent))
    plain, adapted = _profile(tmp_path), _profile(tmp_path, num_classes=9)
    assert plain.pretrained.verdict
    assert adapted.pretrained.verdict
    assert plain.pretrained.fresh == ()
    assert set(adapted.pretrained.fresh) == {"model.5.weight", "model.5.bias"}
    assert adapted.head == ("model.5",)
    assert adapted.parameters - plain.parameters == 9 * (9 - 3)
    with pytest.raises(ConfigError, match=r"neuropt\.num_classes: must be a whole number"):
        _profile(tmp_path, num_classes=0)
