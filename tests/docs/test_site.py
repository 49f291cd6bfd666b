"""The site: its navigation is complete, its pages are whole, and it needs no network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
_SPEC = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
assert _SPEC is not None
assert _SPEC.loader is not None
hooks: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hooks)


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without making the objects that its tags ask for."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def _config() -> dict[str, Any]:
    return dict(yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=_Loader))


def _leaves(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for value in nav.values():
            yield from _leaves(value)
    elif isinstance(nav, list):
        for value in nav:
            yield from _leaves(value)


def test_the_navigation_is_complete() -> None:
    """Each page stands in the navigation exactly once, and so do those that come from the project's root."""
    named = sorted(_leaves(_config()["nav"]))
    pages = {page.relative_to(DOCS).as_posix() for page in PAGES} | set(hooks.ABOVE.values())
    assert named == sorted(pages)


def test_warnings_are_errors() -> None:
    """The build is strict, and links, anchors and pages outside the navigation are warned of."""
    config = _config()
    assert config["strict"] is True
    kinds = {kind for group in config["validation"].values() for kind in group.values()}
    assert kinds == {"warn"}
    recipe = (ROOT / "Makefile").read_text().partition("\ndocs: ")[2].partition("\n\n")[0]
    assert "--strict" in recipe
    assert "--quiet" not in recipe  # It keeps warnings from being counted.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_begins_with_its_only_title(page: Path) -> None:
    """The first line is a heading of the first level, and no other line outside code is one."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = [line for line in text.splitlines() if re.match(r"# \S", line)]
    assert page.read_text().startswith("# ")
    assert len(titles) == 1, titles


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_no_page_knows_the_machine_that_it_was_written_on(page: Path) -> None:
    """No page holds a home folder, a temporary folder's random name, a private host or a package index's address."""
    found = re.findall(
        r"(?:/root/|/home/(?!someone|user|you|me)\w+/|/work(?:space)?/|(?<!/var)/tmp/[\w.]+|/Users/\w+)|"
        r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}\b|"
        r"(?:index-url|files\.pythonhosted|artifactory|nexus)\S*",
        page.read_text(),
    )
    assert found == []


def test_links_to_other_files_become_text() -> None:
    """A link out of docs leads to the page that its file becomes, or is shown as words and path; inside it stays."""
    page = type("Page", (), {"file": type("File", (), {"src_uri": "x.md"})})
    script = "../examples/finetune/train.py"
    text = f"[a](../CHANGELOG.md#added) [t]({script}) [train.py]({script}) [b](y.md)"
    assert hooks.on_page_markdown(text, page) == (
        "[a](changelog.md#added) t (`examples/finetune/train.py`) `examples/finetune/train.py` [b](y.md)"
    )
    fenced = "```text\n[t](../none.py)\n```\n"
    assert hooks.on_page_markdown(fenced, page) == fenced
    with pytest.raises(Exception, match="no such file"):
        hooks.on_page_markdown("[t](../none.py)", page)


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """A build holds each page, none of the scripts beside them, and no font, style, script or image of other hosts."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--no-strict", "--site-dir", str(tmp_path / "site")]
    subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True, timeout=300, capture_output=True
    )
    built = tmp_path / "site"
    assert {page.with_suffix(".html").name for page in PAGES} <= {page.name for page in built.glob("*.html")}
    assert [path.name for path in built.rglob("*.py")] == []
    for page in built.glob("*.html"):
        text = page.read_text()
        fetched = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?:|//)", text)
        fetched += re.findall(r"<link\b(?![^>]*rel=\"?canonical)[^>]*href=\"?(?:https?:|//)[^>]*>", text)
        assert fetched == [], page.name
    styles = [path.read_text() for path in built.rglob("*.css")]
    assert [url for text in styles for url in re.findall(r"url\(['\"]?(?:https?:)?//[^)]*", text)] == []
