"""When W&B is online, offline or off."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropt_core.errors import ConfigError, MissingExtraError
from neuropt_core.sinks._wandb_mode import WandbSettings, has_key, is_installed, resolve_mode

KEY = {"WANDB_API_KEY": "4" * 40}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose home is empty."""
    return {"HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("extra", "installed", "mode"),
    [
        (KEY, True, "online"),
        ({}, True, "offline"),
        (KEY, False, "disabled"),
        ({}, False, "disabled"),
        ({**KEY, "WANDB_MODE": "offline"}, True, "offline"),
        ({**KEY, "WANDB_MODE": "dryrun"}, True, "offline"),
        ({**KEY, "WANDB_MODE": "disabled"}, True, "disabled"),
        ({**KEY, "WANDB_MODE": "online"}, True, "online"),
        ({"WANDB_MODE": "online"}, False, "disabled"),
        ({**KEY, "WANDB_MODE": "shared"}, True, "online"),
        ({**KEY, "WANDB_DISABLED": "true"}, True, "disabled"),
        ({"WANDB_API_KEY": "  "}, True, "offline"),
        ({"WANDB_IDENTITY_TOKEN_FILE": "/token"}, True, "online"),
    ],
)
def test_auto_takes_what_there_is(home: dict[str, str], extra: dict[str, str], installed: bool, mode: str) -> None:
    """Auto is online with a key, offline with wandb installed, off otherwise, and follows WANDB_MODE."""
    assert resolve_mode(WandbSettings(), {**home, **extra}, installed) == mode


def test_an_explicit_mode_wins_over_the_environment(home: dict[str, str]) -> None:
    """What the config says explicitly holds whatever WANDB_MODE says."""
    environ = {**home, **KEY, "WANDB_MODE": "disabled"}
    assert resolve_mode(WandbSettings(mode="online"), environ, True) == "online"
    assert resolve_mode(WandbSettings(mode="offline"), environ, True) == "offline"
    assert resolve_mode(WandbSettings(mode="disabled"), {**environ, "WANDB_MODE": "online"}, False) == "disabled"


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_mode_that_needs_wandb_says_how_to_install_it(home: dict[str, str], mode: str) -> None:
    """Without wandb an explicit mode is an error that holds the pip command."""
    with pytest.raises(MissingExtraError) as caught:
        resolve_mode(WandbSettings(mode=mode), {**home, **KEY}, False)
    text = f"hydra.sweeper.wandb.mode={mode} needs wandb: pip install 'hydra-neuropt-sweeper[wandb]'"
    assert str(caught.value) == text


def test_online_without_a_key_ends_before_anything_starts(home: dict[str, str]) -> None:
    """Explicit online without a key is an error that says how to mend it; so is WANDB_MODE=online."""
    with pytest.raises(ConfigError, match=r"mode=online: needs a key for api\.wandb\.ai.*wandb login"):
        resolve_mode(WandbSettings(mode="online"), home, True)
    with pytest.raises(ConfigError, match=r"WANDB_MODE=online: needs a key"):
        resolve_mode(WandbSettings(), {**home, "WANDB_MODE": "online"}, True)


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_a_login_is_found(home: dict[str, str], tmp_path: Path, name: str) -> None:
    """The key that `wandb login` left in the netrc file counts; one for another host does not."""
    file = tmp_path / name
    file.write_text("machine example.org\n  login user\n  password x\n")
    assert not has_key(home)
    file.write_text("machine api.wandb.ai\n  login user\n  password " + "4" * 40 + "\n")
    assert has_key(home)
    assert not has_key({**home, "WANDB_BASE_URL": "https://wandb.example.org"})


def test_a_login_at_an_own_server_is_found(home: dict[str, str], tmp_path: Path) -> None:
    """The host is that of WANDB_BASE_URL or of W&B's settings file, and NETRC names another file."""
    (tmp_path / "keys").write_text("machine wandb.example.org:8080\n  login user\n  password x\n")
    environ = {**home, "NETRC": str(tmp_path / "keys")}
    assert not has_key(environ)
    assert has_key({**environ, "WANDB_BASE_URL": "https://wandb.example.org:8080"})
    (tmp_path / ".config" / "wandb").mkdir(parents=True)
    (tmp_path / ".config" / "wandb" / "settings").write_text("[default]\nbase_url = https://wandb.example.org:8080\n")
    assert has_key(environ)


@pytest.mark.parametrize("content", ["machine", "\xff\xfe nonsense", ""])
def test_a_broken_login_file_is_no_key(home: dict[str, str], tmp_path: Path, content: str) -> None:
    """A netrc file that cannot be read is as good as none."""
    (tmp_path / ".netrc").write_bytes(content.encode("latin-1"))
    assert not has_key(home)


def test_a_folder_called_wandb_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that offline runs leave in the working directory does not count as an installation."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(__import__("sys").modules, "wandb", raising=False)
    assert not is_installed()


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"mode": "Online"}, "hydra.sweeper.wandb.mode: must be one of auto, online, offline, disabled, got 'Online'"),
        ({"mode": None}, "hydra.sweeper.wandb.mode: must be"),
        ({"project": "a/b"}, "hydra.sweeper.wandb.project: needs"),
        ({"project": ""}, "hydra.sweeper.wandb.project: needs"),
        ({"project": None}, "hydra.sweeper.wandb.project: needs"),
        ({"project": "x" * 129}, "hydra.sweeper.wandb.project: needs"),
        ({"entity": " "}, "hydra.sweeper.wandb.entity: must be"),
        ({"entity": 3}, "hydra.sweeper.wandb.entity: must be"),
    ],
)
def test_wrong_settings_say_where(settings: dict[str, object], where: str) -> None:
    """A setting that cannot work is refused with its key, the rule and what it got."""
    with pytest.raises(ConfigError) as caught:
        WandbSettings(**settings)
    assert str(caught.value).startswith(where)
