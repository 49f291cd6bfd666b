"""What `neuropt inspect` may be pointed at."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydra_plugins.neuropt_sweeper import _plan, _stand_in
from neuropt_core.cli import _target, inspect
from neuropt_core.cli._target import read_target
from neuropt_core.errors import NeuroptError


def test_options_become_the_overrides_that_they_stand_for(tmp_path: Path) -> None:
    """A script, a config and a factory are told apart, and options mean what the keys of a config mean."""
    script, config = tmp_path / "train.py", tmp_path / "my.yaml"
    script.touch()
    config.touch()
    found = read_target(str(script), ["lr=1"], space="wide", pretrained=True)
    assert found.kind == "script"
    assert found.start == (str(script),)
    assert found.overrides == ("lr=1", "hydra.sweeper.space=wide", "hydra.sweeper.pretrained=true")
    found = read_target(str(config), [], pretrained=False, shape="3,8,8")
    assert found.kind == "config"
    assert found.start[2:] == ("--config-path", str(tmp_path), "--config-name", "my")
    assert found.overrides == ("++neuropt.example=[3,8,8]", "hydra.sweeper.pretrained=false")
    found = read_target("pkg.models:Net.small", ["classes=3", "hydra.sweeper.n_trials=5"], shape="3")
    assert found.kind == "factory"
    assert found.overrides == ("+model.classes=3", "hydra.sweeper.n_trials=5", "+neuropt.example=[3]")
    assert found.environ == {"NEUROPT_FACTORY": "pkg.models:Net.small"}


@pytest.mark.parametrize(
    ("words", "options", "told"),
    [
        (["nothing"], {}, "nothing: is neither a script, nor a config file, nor module:name"),
        (["absent.yaml"], {}, "absent.yaml: does not exist"),
        (["."], {}, "is neither a script"),
        (["m:f"], {"space": "huge"}, "--space: must be one of seed, standard, wide, got 'huge'"),
        (["m:f"], {"shape": "3x4"}, "--input: must be whole numbers with commas between them, got '3x4'"),
        (["m:f", "10"], {}, "10: must be an argument of what builds the model, as key=value"),
        (["here.py"], {"shape": "3,4,4"}, "--input: is not for a script"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], options: dict[str, str], told: str
) -> None:
    """A target that is none, and an option that is wrong, are refused before anything runs."""
    monkeypatch.chdir(tmp_path)
    Path("here.py").touch()
    with pytest.raises(NeuroptError) as caught:
        read_target(words[0], words[1:], **options)  # type: ignore[arg-type]
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_named_on_both_sides_of_a_process_is_the_same() -> None:
    """The command loads no Hydra, so it repeats the names by which the other side is started, and its first words."""
    assert (_stand_in.__name__, _stand_in.FACTORY) == (_target._STAND_IN, _target._FACTORY)
    assert inspect._FAILED == _plan.FAILED
