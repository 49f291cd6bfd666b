"""A trial's config as a file: what Hydra composes of the file is what it composed of the overrides."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.neuropt_sweeper._export import Composed, composed, forms, hidden, plain_data, unlike
from hydra_plugins.neuropt_sweeper._overrides import override
from neuropt_core.errors import StudyError

# Hydra 1.3 warns without a version_base, Hydra 1.4 with one; and 1.4 registers its own resolvers in an old way.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The version_base parameter:Warning", r"ignore:register_new_resolver\(\):UserWarning"
)
FILES = {
    "config": """
defaults: [{model: small}, {model@net: small}, {experiment: null}, {callbacks: [a]}, _self_]
base_lr: 0.1
opt: {lr: "${base_lr}", wd: 0.0, betas: [0.9, 0.99], name: sgd, "a.b": 1}
text: plain
flag: true
nothing: null
steps: [{at: 1, by: 0.1}, {at: 2, by: 0.2}]
number: 3
""",
    "model/small": "{width: 1, name: small, act: {kind: relu, slope: null}}",
    "model/big": "{width: 2, name: big, extra: '${base_lr}', act: {kind: gelu}}",
    "callbacks/a": "{a: {x: 1}}",
    "callbacks/b": "{b: {y: 2}}",
    "experiment/fast": "# @package _global_\ndefaults: [{override /model: big}]\nbase_lr: 7\nopt: {wd: 0.5}\n",
    "data/toy": "{path: toy, size: 10}",
    "data/real": "{path: real, size: 1000}",
}
STRINGS = ("1e-5", "on", "007", "null", "", " ", "a: b", "- x", "it's", 'say "so"', "a\nb", "${base_lr}", "#no", "0x1F",
           "2020-01-01", "~", "é\u2028ü", "{a}", "[1", "1_000", ".5", "!!x", "\\${x}", "a=b,c", "*", "%")  # fmt: skip
GROUPS = (
    "model=big", "model@net=big", "experiment=fast", "callbacks=[b,a]", "+data=toy", "+data@eval=real",
    "~model@net", "~callbacks", "+data@_global_=real", "+experiment@deep=fast",
)  # fmt: skip
VALUES = (
    "opt.lr=1e-5", "opt.lr=${number}", "opt.lr='${base_lr}'", "opt.betas=[0.8,0.9]", "opt={lr:3,new:4}",
    "base_lr=2", "base_lr=2.0", "nothing=5", "nothing={a:1}", "flag=null", "+extra.deep.key=1", "++opt.new=x",
    "++neuropt.head=['a.b','c']", "++neuropt.lr_layer_decay=0.9", "model.act.slope=0.1", "steps=[]", "number=1.0",
    "opt=null", "text=[a,{b:1}]", "+on=1", "+'1'=2", "model.width=9", "net.width=8", "text=true",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of configs."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def asked(folder: Path, name: str | None, overrides: Sequence[str] = ()) -> tuple[str, str]:
    """Composes as the script would: the config and its hydra node as text."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        whole = compose(name, list(overrides), return_hydra_config=True)
    node = OmegaConf.to_container(whole.hydra, resolve=False)
    config = {k: v for k, v in OmegaConf.to_container(whole, resolve=False).items() if k != "hydra"}  # type: ignore
    return OmegaConf.to_yaml(OmegaConf.create(config)), OmegaConf.to_yaml(OmegaConf.create({"hydra": node}))


def job(folder: Path, overrides: Sequence[str], name: str | None = "config", **known: Any) -> Composed:
    """The config of a job with these overrides."""
    config, hydra = asked(folder, name, overrides)
    return composed(config, hydra, tuple(overrides), known.get("secrets", ()))


def kept(folder: Path, made: Composed, base: str | None = "config") -> list[tuple[str, list[str]]]:
    """The forms that are tried, and in what each differs; a form that Hydra refuses differs in all."""
    found = []
    for form in forms(made, base, "best", whole=False, single=False):
        for suffix, text in form.files.items():
            (folder / f"best{suffix}.yaml").write_text(text)
        try:
            now = plain_data(asked(folder, "best")[0])
        except (HydraException, OmegaConfBaseException) as error:
            found.append((form.words, [str(error)]))
            continue
        found.append((form.words, unlike(hidden(made.config, made.secrets), hidden(now, made.secrets))))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_a_difference_composes_to_the_trials_config(folder: Path, seed: int) -> None:
    """Random overrides of groups, values and new keys, written as a difference, give an equal config."""
    chance = random.Random(seed)
    while True:
        overrides = [*chance.sample(GROUPS, chance.randint(0, 3)), *chance.sample(VALUES, chance.randint(0, 5))]
        overrides.append(override("text", chance.choice(STRINGS)))
        try:
            made = job(folder, overrides)
            break
        except (HydraException, OmegaConfBaseException):  # Hydra refuses some combinations, e.g. two of one group.
            continue
    words, different = kept(folder, made)[0]
    assert words.startswith("what differs"), overrides
    assert different == [], (overrides, (folder / "best.yaml").read_text())


def test_what_takes_a_value_away_needs_the_whole_config(folder: Path) -> None:
    """A file can only add to what it includes, so that a deleted key leaves no difference to write."""
    found = forms(job(folder, ["~opt.wd"]), "config", "best", whole=False, single=False)
    assert [form.words.split(";")[0] for form in found] == ["the whole config of the trial"]
    (folder / "best.yaml").write_text(found[0].files[""])
    assert unlike(job(folder, ["~opt.wd"]).config, plain_data(asked(folder, "best")[0])) == []


def test_an_interpolation_that_was_not_touched_stays_one(folder: Path) -> None:
    """Of what the trial did not set nothing is written, so that the user's own file goes on to say it."""
    text = forms(job(folder, ["base_lr=3"]), "config", "best", whole=False, single=False)[0].files[""]
    assert plain_data(text) == {"defaults": ["config", "_self_"], "base_lr": 3}


def test_a_single_run_like_the_job_asks_for_no_sweep(folder: Path) -> None:
    """Where the user's own config asks for a sweep the file takes that back; the job's folder is kept as its own."""
    made = job(folder, ["hydra.job.chdir=true", "hydra.sweep.dir=elsewhere", "number=4"])
    text = forms(made, "config", "best", whole=False, single=True)[0].files[""]
    assert plain_data(text)["hydra"] == {"mode": "RUN", "job": {"chdir": True}}


def test_secrets_are_left_out_and_named(folder: Path) -> None:
    """What stands under a telling key, what has a key's shape and what the environment holds must be given again."""
    given = ["+hub_token=abc", "+login={password:p,user:u}", "text=sk-0123456789abcdef", "+more=[x,hush-hush]"]
    made = job(folder, given, secrets=("hush-hush",))
    assert sorted(made.secrets) == ["hub_token", "login.password", "more", "text"]
    for form in forms(made, "config", "best", whole=False, single=False):
        text = "".join(form.files.values())
        assert "user: u" in text
        assert not any(word in text for word in ("abc", "hush", "sk-0", "password: p"))
    assert kept(folder, made)[0][1] == []


@pytest.mark.parametrize(
    ("one", "other", "keys"),
    [
        ({"a": 1}, {"a": 1.0}, ["a"]),
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, ["a.b"]),
        ({"a": float("nan")}, {"a": float("nan")}, []),
        ({"a": 1, "b": 2}, {"b": 2, "c": 3}, ["a", "c"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
    ],
)
def test_configs_are_compared_by_value_and_type(one: dict[str, Any], other: dict[str, Any], keys: list[str]) -> None:
    """A number is not its neighbour of another type, and the order of keys does not matter."""
    assert unlike(one, other) == keys


@pytest.mark.parametrize("text", ["a: [", "a: !!python/object:os.system {}"])
def test_what_is_no_config_is_told(text: str) -> None:
    """Damaged files end in one sentence, and hold no code that would be run."""
    with pytest.raises(StudyError, match="cannot be read"):
        plain_data(text)
