"""Writing files so that a reader, or a crash, never sees half of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str) -> None:
    """Writes `text` to a temporary name beside `path` and renames it, creating the folder if need be.

    Raises:
        OSError: The disk is full or the folder is not writable; `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def json_line(data: Any) -> str:
    """Returns data as one line of JSON, its newline with it, that can be written as UTF-8.

    Lone surrogates stay, as JSON's escapes: a file's name that is no UTF-8 has them, and so may what an LLM replies.

    Raises:
        ValueError: `data` holds a number that is not finite, which JSON has no word for.
    """
    line = json.dumps(data, allow_nan=False, ensure_ascii=False)
    return line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def append_line(path: Path, data: Any, *, sync: bool = False) -> None:
    """Appends one JSON line and flushes it; `sync` also waits for the disk.

    Raises:
        ValueError: `data` holds a number that is not finite, which JSON has no word for.
        OSError: The disk is full or the file is not writable.
    """
    line = json_line(data)
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def read_lines(path: Path) -> tuple[list[Any], bool]:
    """Returns the JSON lines of a file, and whether its last line was torn by a crash (and is left out).

    Raises:
        ValueError: A line before the last one is not JSON; the text says which.
        OSError: The file cannot be read.
    """
    lines = path.read_bytes().split(b"\n")
    torn = bool(lines[-1])  # A whole file ends in a newline, so the last piece is empty.
    records = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: is not JSON ({error})") from None
    return records, torn


def whole_lines(path: Path, offset: int = 0) -> tuple[list[Any], int]:
    """Returns the whole JSON lines of a file from a byte on, and where to go on reading; none if there is no file.

    Raises:
        ValueError: A line is not JSON.
        OSError: The file is there and cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            new = file.read()
    except FileNotFoundError:
        return [], offset
    whole = new[: new.rfind(b"\n") + 1]  # The rest of a line may still be on its way.
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole)
