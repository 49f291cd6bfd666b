"""Tests of the proof that edits work together."""

from __future__ import annotations

from neuropt_core.nn.combine import ALWAYS, prove_together
from neuropt_core.nn.edits import EditPlan
from neuropt_core.space import Value


class Recorder:
    """A prover that notes what it is asked and refuses some values together."""

    def __init__(self, *clash: tuple[str, Value]) -> None:
        self.clash, self.asked = clash, list[EditPlan]()

    def check(self, plan: EditPlan, *, preserving: bool, brief: bool = False) -> str:
        """Refuses plans that hold all of the clashing values."""
        self.asked.append(plan)
        return "they clash" if self.clash and all(getattr(plan, n) == v for n, v in self.clash) else ""


_VALUES: dict[str, tuple[Value, ...]] = {
    "activation": ("gelu", "silu", "prelu"),
    "dropout": (0.5,),
    "drop_path": (0.5,),
    "use_batchnorm": (False,),
    "pool_type": ("max", "attention"),
}


def test_all_pairs_are_tried_where_there_is_time() -> None:
    """Every pair of values of two settings is asked for, but for pairs of rates, which stand in the larger rows."""
    prover = Recorder()
    assert prove_together(prover, _VALUES, 60.0) == {}  # type: ignore[arg-type]
    for activation in _VALUES["activation"]:
        for pool in _VALUES["pool_type"]:
            assert EditPlan(activation=str(activation), pool_type=str(pool)) in prover.asked
    assert EditPlan(dropout=0.5, use_batchnorm=False) in prover.asked
    assert prover.asked[0] == EditPlan("prelu", 0.5, use_batchnorm=False, pool_type="attention", drop_path=0.5)


def test_the_extremes_are_tried_without_time() -> None:
    """The combinations of all settings that are always tried are, however slow the model is."""
    prover = Recorder()
    prove_together(prover, _VALUES, 0.0)  # type: ignore[arg-type]
    assert len(prover.asked) == ALWAYS
    assert all(plan.dropout == 0.5 and not plan.use_batchnorm for plan in prover.asked)


def test_the_lesser_value_goes() -> None:
    """Where two values clash, that of the setting worth less goes, whatever others stand beside them."""
    clash = (("activation", "silu"), ("pool_type", "max"))
    removed = prove_together(Recorder(*clash), _VALUES, 60.0)  # type: ignore[arg-type]
    assert list(removed) == [("pool_type", "max")]
    removed = prove_together(Recorder(("dropout", 0.5), ("use_batchnorm", False)), _VALUES, 0.0)  # type: ignore[arg-type]
    assert removed == {("use_batchnorm", False): "together with others: they clash"}


def test_a_single_setting_has_nothing_to_clash_with() -> None:
    """One setting alone has been proved already."""
    prover = Recorder()
    assert prove_together(prover, {"activation": ("gelu", "silu")}) == {}  # type: ignore[arg-type]
    assert prover.asked == []
