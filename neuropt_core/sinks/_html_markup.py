"""HTML that cannot be broken by what stands in it: text is escaped unless it was made here."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from neuropt_core.sinks.text import plain

_VOID = ("br", "input", "meta", "rect", "wbr")
_BOOLEAN = ("checked", "hidden", "open", "selected")
_OPENS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


class Markup(str):
    """Text that is HTML already; only `tag` and `joined` make it."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Markup | None"


def tag(name: str, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """Returns an element; children and attributes are escaped, but for markup.

    Args:
        name: Of the element; never untrusted.
        children: What stands in it; None and "" stand for nothing.
        attributes: Of the element. ``_`` becomes ``-`` and one at the end is left out (``class_``); None and False
            leave an attribute out.
    """
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(_safe(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{shown}>" if name != "rect" else f"<{name}{shown}/>")
    return Markup(f"<{name}{shown}>{joined(children)}</{name}>")


def joined(children: Iterable[Child], between: Child = "") -> Markup:
    """Returns children one after the other, escaped but for markup."""
    return Markup(_escaped(between).join(_escaped(child) for child in children if child is not None))


def data_block(name: str, data: Any) -> Markup:
    """Returns a block of JSON that a script reads by its id; nothing in it can end the block.

    Raises:
        ValueError: `data` holds a number that is not finite.
    """
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Markup(f'<script type="application/json" id="{name}">{text.translate(_OPENS)}</script>')


def rounded(value: float | None, digits: int = 5) -> float | int | None:
    """Returns a number in at most `digits` significant digits, whole where it is; None if it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def minus(text: str) -> str:
    """Returns text in which a number's sign is a minus as wide as a plus; exponents stay as they are."""
    return re.sub(r"(?<![\w.])-(?=[\d.])", "\N{MINUS SIGN}", text)


def _escaped(child: Child) -> str:
    return child if isinstance(child, Markup) else html.escape(_safe(child), quote=False)


def _safe(value: str | int | float | bool | None) -> str:
    return plain(str(value))
