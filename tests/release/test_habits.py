"""What keeps the project in order: its hooks, its issue forms, its changelog, its one version."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import neuropt_core

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_the_hooks_are_those_of_make_lint(tmp_path: Path) -> None:
    """The hooks' file is valid, and what it runs is what `make lint` runs."""
    config = ROOT / ".pre-commit-config.yaml"
    check = [sys.executable, "-m", "pre_commit", "validate-config", str(config)]
    done = subprocess.run(check, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (repo,) = yaml.safe_load(config.read_text())["repos"]
    tools = {hook["entry"].removeprefix(".venv/bin/").removesuffix(" --fix") for hook in repo["hooks"]}
    lint = re.findall(r"\$\(BIN\)/(.+)", (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0])
    linted = {line.replace(" --check", "").replace(" $(FOLDERS)", "") for line in lint}
    assert linted <= tools


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_an_issue_form_has_what_github_asks_for(form: Path) -> None:
    """Each form has a name, a description and a body whose inputs have ids of their own and labels."""
    told = yaml.safe_load(form.read_text())
    if form.stem == "config":
        assert told == {"blank_issues_enabled": True}
        return
    assert told["name"]
    assert told["description"]
    asked = [part for part in told["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked)
    assert all(part["attributes"]["label"] for part in asked)
    assert any(part.get("validations", {}).get("required") for part in asked)


def test_the_changelog_keeps_its_form() -> None:
    """Its sections are Unreleased or a version with its date, and its headings those of Keep a Changelog."""
    text = (ROOT / "CHANGELOG.md").read_text()
    for title in re.findall(r"^## (.+)$", text, flags=re.MULTILINE):
        assert re.fullmatch(r"Unreleased|\[?\d+\.\d+\.\d+\]? - \d{4}-\d\d-\d\d", title), title
    kinds = set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_version_stands_in_one_place() -> None:
    """No file but the package's own says the version in the making."""
    version = re.escape(neuropt_core.__version__)
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert not re.search(rf"^version\s*=\s*[\"']{version}", pyproject, flags=re.MULTILINE)
    assert 'path = "neuropt_core/__init__.py"' in pyproject
    said = [
        file
        for folder in ("neuropt_core", "hydra_plugins")
        for file in (ROOT / folder).rglob("*.py")
        if re.search(rf"(?i)version.{{0,20}}[\"']{version}[\"']", file.read_text())
    ]
    assert said == [ROOT / "neuropt_core" / "__init__.py"]


def test_all_that_scripts_import_is_documented() -> None:
    """Everything that the package shows has a docstring of its own."""
    shown = {name: getattr(neuropt_core, name) for name in neuropt_core._HOMES}
    assert [name for name, thing in shown.items() if not (thing.__doc__ or "").strip()] == []


def test_no_source_is_ignored() -> None:
    """What git leaves out by a rule is missing for everybody else: no code, config or page may lie there."""
    asked = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "neuropt_core", "hydra_plugins", "conf"]
    done = subprocess.run([*asked, "docs", "examples", "tests"], cwd=ROOT, capture_output=True, text=True, check=False)
    made = {"multirun", "outputs", "sweeps", "wandb"}
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert [path for path in paths if path.suffix in (".py", ".yaml", ".md") and not made & {*path.parts}] == []
