"""The Python blocks of the pages: one module for mypy, one script that executes those that say so.

A block that is a fragment may use the names of a training script that stand in `READERS`, and what earlier blocks of
its page have bound or imported. Every other name has to be imported or bound by the block itself.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterable

from code_blocks import Block

_ANY = """
cfg model optimizer schedule scheduler loss logits batches images labels targets outputs inputs val_batches
train_loader val_loader loader evaluate train dataset train_data val_data data device x y trainer run val_error
module arguments images_per_second accuracy metrics train_fn train_one_epoch validate x_train y_train x_val y_val
latency_ms
"""

READERS = {
    "tuning": "neuropt_core.Tuning",
    "epoch": "int",
    "step": "int",
    "steps": "int",
    "epochs": "int",
    "val_loss": "float",
    "train_loss": "float",
    **dict.fromkeys(_ANY.split(), "Any"),
}
"""Names that belong to the reader's own script, with their types."""

MODULES = ("torch", "neuropt_core", "hydra", "math", "os", "numpy as np")
"""What a fragment may use without importing it."""

_HEAD = (
    "from __future__ import annotations\nfrom typing import Any\n"
    + "".join(f"import {m}\n" for m in MODULES)
    + "ANY: Any = 0\n"
)


def module(blocks: Iterable[Block]) -> tuple[str, dict[int, str], list[str]]:
    """Returns the module for mypy, where its lines come from, and what is wrong with blocks that cannot be in it.

    Each block becomes a function, so that fragments may return, and names of one do not clash with those of another.

    Args:
        blocks: Python blocks, those of one page together and in their order.
    """
    lines, places, faults = _HEAD.splitlines(), {}, []
    page, bound, imports = "", set[str](), dict[str, str]()
    for number, block in enumerate(blocks):
        if block.page != page:
            page, bound, imports = block.page, set(), {}
        try:
            tree = ast.parse(block.text)
        except SyntaxError as error:
            faults.append(f"{block.where}: {error.msg}, line {error.lineno} of the block")
            continue
        free = _free(tree)
        unknown = free - set(READERS) - bound - set(imports) - {m.split()[-1] for m in MODULES}
        if unknown:
            known = ", ".join(sorted(READERS))
            faults.append(
                f"{block.where}: {', '.join(sorted(unknown))}: neither bound nor imported by this page; "
                f"import it, or use a name of the reader's own script: {known}"
            )
            continue
        own = sorted(free & (set(READERS) | bound) - set(imports))
        given = ", ".join(f"{name}: {READERS.get(name, 'Any')}" for name in own)
        lines.append(f"def block_{number}({given}) -> Any:")
        lines += [f"    {imports[name]}" for name in sorted(free & set(imports))]
        for at, line in enumerate(_without_futures(_with_values(block.text, tree)).splitlines()):
            lines.append(f"    {line}" if line else "")
            places[len(lines)] = f"{block.page}:{int(block.where.rpartition(':')[2]) + at + 1}"
        lines.append("    return None")
        bound |= _bound(tree) - set(imports)
        imports |= _imports(tree)
    return "\n".join(lines) + "\n", places, faults


def script(blocks: Iterable[Block], names: Iterable[tuple[str, str]] = ()) -> str:
    """Returns a script that executes blocks, those of one page in one namespace, and prints where each one fails.

    Args:
        blocks: What to execute.
        names: Pairs of a place and a dotted name that must exist, see `chains`.
    """
    pairs = [(block.where, block.text) for block in blocks]
    return textwrap.dedent(f"""
        import os, pkgutil, sys, tempfile, traceback
        pages, failed = {{}}, 0
        for where, name in {list(names)!r}:
            try:
                pkgutil.resolve_name(name)
            except (ImportError, AttributeError) as error:
                failed = 1
                print("FAILED", where, name, error)
        for where, text in {pairs!r}:
            page = where.rpartition(":")[0]
            if page not in pages:
                pages[page] = ({{"__name__": "page"}}, tempfile.mkdtemp())
            names, folder = pages[page]
            os.chdir(folder)
            try:
                exec(compile(text, where, "exec"), names)
            except BaseException as error:
                failed = 1
                print("FAILED", where, "".join(traceback.format_exception(error)))
        sys.exit(failed)
    """)


def _without_futures(text: str) -> str:
    return re.sub(r"^from __future__ import .*$", "", text, flags=re.MULTILINE)


def _bound(tree: ast.AST) -> set[str]:
    """Returns the names that code binds anywhere: a fragment is read leniently, mypy and Python are the strict ones."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return found


def _imports(tree: ast.AST) -> dict[str, str]:
    """Returns the names that code imports, each with the statement that does it."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and getattr(node, "module", "") != "__future__":
            for alias in node.names:
                found[(alias.asname or alias.name).split(".")[0]] = ast.unparse(node)
    return found


def _free(tree: ast.Module) -> set[str]:
    """Returns the names that code reads before it binds them in its order, or never binds."""
    free: set[str] = set()
    _follow(tree.body, set(dir(builtins)) | {"__file__"}, free)
    return free


def _follow(body: list[ast.stmt], bound: set[str], free: set[str]) -> None:
    """Walks statements in their order; `bound` and `free` grow."""
    for statement in body:
        if isinstance(statement, (ast.For, ast.While, ast.If, ast.With, ast.Try)):
            parts = {name: getattr(statement, name, []) for name in ("body", "handlers", "orelse", "finalbody")}
            head = [
                node for node in ast.iter_child_nodes(statement) if not any(node in part for part in parts.values())
            ]
            for node in head:
                free |= _read(node) - bound
                bound |= _bound(node)
            for part in parts.values():
                for handler in (node for node in part if isinstance(node, ast.ExceptHandler)):
                    bound |= {handler.name} if handler.name else set()
                    _follow(handler.body, bound, free)
                _follow([node for node in part if isinstance(node, ast.stmt)], bound, free)
        else:
            # Elsewhere what is bound anywhere inside counts: functions and their parameters, comprehensions.
            value = getattr(statement, "value", None) if isinstance(statement, (ast.Assign, ast.AugAssign)) else None
            free |= ((_read(value) - _bound(value)) if value else (_read(statement) - _bound(statement))) - bound
            if isinstance(statement, (ast.Assign, ast.AugAssign)):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                free |= {name for target in targets for name in _read(target)} - bound
            if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
                free |= {statement.target.id} - bound
            bound |= _bound(statement)


def _read(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _with_values(text: str, tree: ast.AST) -> str:
    """Returns code in which `...` as a value is ANY, which has every type; as a statement or in a type it stays."""
    inside = {id(n) for s in ast.walk(tree) if isinstance(s, (ast.Subscript, ast.Expr)) for n in _direct(s)}
    lines = text.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value is ... and id(node) not in inside:
            raw = lines[node.lineno - 1].encode()
            lines[node.lineno - 1] = (raw[: node.col_offset] + b"ANY" + raw[node.col_offset + 3 :]).decode()
    return "\n".join(lines)


def _direct(node: ast.AST) -> list[ast.AST]:
    return [node.value] if isinstance(node, ast.Expr) else list(ast.walk(node.slice))  # type: ignore[attr-defined]


def chains(blocks: Iterable[Block], libraries: Iterable[str]) -> list[tuple[str, str]]:
    """Returns (where, dotted name) of everything that blocks name in libraries, e.g. ``torch.optim.AdamW``."""
    found = []
    for block in blocks:
        tree = ast.parse(block.text)
        roots = {m.split()[-1]: m.split()[0] for m in MODULES}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                roots |= {
                    a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
                }
            elif isinstance(node, ast.ImportFrom):
                roots |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
                found += [(block.where, f"{node.module}.{a.name}") for a in node.names]
        for node in ast.walk(tree):
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if re.fullmatch(r"[\w.]+", name) and name.split(".")[0] in roots:
                first, _, rest = name.partition(".")
                found.append((block.where, f"{roots[first]}.{rest}"))
    kept = set(libraries)
    return sorted({(where, name) for where, name in found if name.split(".")[0] in kept})
