"""Proves a release: what its archives hold, and that a sweep runs where nothing but its wheel is installed.

Usage: python tests/release/check.py DIST, where DIST holds one sdist and the wheel that was built from it.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"hydra_plugins", "neuropt_core"}
"""What a wheel may hold at its top level, beside its own metadata: `conf` or `tests` would meet everyone's."""
HEAVY = {"torch", "wandb", "anthropic", "openai", "mlflow", "transformers", "lightning"}
"""What the plain package must not pull in."""

APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(cfg):
    return (cfg.x - 1.0) ** 2

if __name__ == "__main__":
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store("config", {"x": 0.0})
    main()
"""
DISCOVERED = """
import sys
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
import neuropt_core
print(neuropt_core.__version__, neuropt_core.__file__)
assert "NeuroptSweeper" in {found.__name__ for found in Plugins.instance().discover(Sweeper)}
"""


def version() -> str:
    """Returns the version as the package's own source says it; nothing is imported."""
    tree = ast.parse((ROOT / "neuropt_core" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value))
    raise SystemExit("neuropt_core/__init__.py has no __version__")


def check_archives(wheel: Path, sdist: Path, expected: str) -> None:
    """Looks at the names in both archives, and at the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        told = message_from_bytes(archive.read(next(n for n in names if n.endswith(".dist-info/METADATA"))))
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == OURS, f"the wheel's top level is {sorted(top)}"
    assert "hydra_plugins/__init__.py" not in names, "hydra_plugins is a namespace that other plugins share"
    missing = {f"{name}/py.typed" for name in ("neuropt_core", "hydra_plugins/neuropt_sweeper")} - set(names)
    assert not missing, f"without {missing} nobody sees our types"
    sources = {
        p.relative_to(ROOT).as_posix() for d in OURS for p in (ROOT / d).rglob("*.*") if "__pycache__" not in p.parts
    }
    assert sources <= set(names), f"not in the wheel: {sorted(sources - set(names))}"
    assert told["Version"] == expected, f"the wheel says {told['Version']}, the source {expected}"
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers()}
    wanted = {"README.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "tests/release/check.py", "conf/finetune.yaml"}
    assert wanted <= held, f"not in the sdist: {sorted(wanted - held)}"


def check_changelog(expected: str) -> None:
    """A released version has its section; one in the making is under Unreleased."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in text or f"## {expected}" in text, f"CHANGELOG.md has no section for {expected}"


def check_installed(wheel: Path, sdist: Path, folder: Path) -> None:
    """Installs the wheel alone and sweeps with it; then the sdist, which must give the same."""
    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / "bin"
    env = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WANDB", "ANTHROPIC", "OPENAI", "NEUROPT"))
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [str(binaries / command[0]), *command[1:]], cwd=folder, env=env, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    pip = ("python", "-m", "pip", "--disable-pip-version-check")
    (folder / "app.py").write_text(APP, encoding="utf-8")
    sweep = ("python", "app.py", "--multirun", "hydra/sweeper=neuropt", "x=interval(-2,2)", "hydra.sweeper.n_trials=4")
    for archive, how in ((wheel, ()), (sdist, ("--force-reinstall", "--no-deps"))):
        run(*pip, "install", "--quiet", *how, str(archive))
        run(*pip, "check")
        assert str(folder / "venv") in run("python", "-c", DISCOVERED)
        run(*sweep, f"hydra.sweep.dir={archive.suffix[1:]}")
        assert (folder / archive.suffix[1:] / "results.yaml").exists()
        run("neuropt", "report", archive.suffix[1:])
    heavy = HEAVY & {line.split("==")[0].lower() for line in run(*pip, "freeze").splitlines()}
    assert not heavy, f"the plain package pulls in {sorted(heavy)}"


def main() -> None:
    """Checks the archives of the folder that is named."""
    dist, expected = Path(sys.argv[1]), version()
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    check_archives(wheel, sdist, expected)
    check_changelog(expected)
    with tempfile.TemporaryDirectory(prefix="neuropt-release-") as folder:
        check_installed(wheel.absolute(), sdist.absolute(), Path(folder))
    print(f"{wheel.name} and {sdist.name}: version {expected}, installed, discovered, swept with.")


if __name__ == "__main__":
    main()
