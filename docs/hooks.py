"""mkdocs hooks: pages that lie above docs become pages of the site, and links to other files of the project text.

On GitHub ``../examples/finetune/train.py`` leads to the file. The site holds pages only, and where its sources are
published is not its business, so there the words of such a link stay and its target is shown as a path.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ABOVE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the root -> the pages that they become."""

_LINK = re.compile(r"(?<!!)\[(?P<words>[^\]]+)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)]*)?\)")
_FENCED = re.compile(r"^( *```).*?^\1", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that lie above docs."""
    for source, page in ABOVE.items():
        if (ROOT / source).exists():
            files.append(File.generated(config, page, content=_moved((ROOT / source).read_text(encoding="utf-8"))))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Returns a page whose links stay within the site.

    Raises:
        PluginError: A link names a file that the project does not have.
    """
    return _outside_fences(markdown, lambda text: _LINK.sub(lambda link: _within(link, page.file.src_uri), text))


def _within(link: re.Match[str], page: str) -> str:
    """Returns a link as it is, led to the page that its file becomes, or as text."""
    target = link["target"]
    if not target.startswith("../"):
        return link[0]
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    if not (ROOT / path).exists():
        raise PluginError(f"{page}: {target}: the project has no such file")
    if path in ABOVE:
        return f"[{link['words']}]({ABOVE[path]}{link['anchor'] or ''})"
    words = link["words"].strip("`")
    return f"`{path}`" if words in (path, target, posixpath.basename(path)) else f"{link['words']} (`{path}`)"


def _moved(markdown: str) -> str:
    """Returns a page of the root as one of docs: links into docs become links beside it, others lead up."""

    def led(link: re.Match[str]) -> str:
        target = link["target"]
        if re.match(r"[a-z]+:", target):
            return link[0]
        inside = target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"
        return f"[{link['words']}]({inside}{link['anchor'] or ''})"

    return _outside_fences(markdown, lambda text: _LINK.sub(led, text))


def _outside_fences(markdown: str, change: Any) -> str:
    """Returns text whose parts outside fenced code are changed."""
    parts, at = [], 0
    for fence in _FENCED.finditer(markdown):
        parts += [change(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(markdown[at:])])
