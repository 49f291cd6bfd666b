"""The commands of the pages: what they name must exist. See `faults`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from code_blocks import ROOT, Block
from hydra import compose, initialize
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.neuropt_sweeper._overrides import parse_arguments, parse_params
from hydra_plugins.neuropt_sweeper._settings import read_settings
from neuropt_core.cli.app import app
from neuropt_core.errors import NeuroptError

_FREE = """
cat cd cp curl docker echo export git head jupyter kill less llama-server ls mkdir mlflow mv nohup npm
nvidia-smi ollama open pip-compile playwright pre-commit pytest rm ruff mypy mkdocs sacct sbatch scancel scontrol
screen sed set sinfo source squeue srun ssh tail tensorboard time tmux touch torchrun unzip uv vllm wandb watch
wc xdg-open accelerate apt apt-get conda grep jq lms rsync scp sudo tree which ./llama-server llamafile awk
bash cut date diff do done until while env find printf ray sh sleep sort sqlite3 tar tee test tr true uniq xargs
"""
FREE = frozenset(_FREE.split())
"""Commands of others, whose arguments nobody checks here; any other first word of a command is taken for a slip."""

_OVERRIDE = re.compile(r"^[+~]{0,2}[A-Za-z_][\w./@-]*=|^~[A-Za-z_][\w./@-]*$")
_SWEEPER = ("hydra/sweeper=neuropt", "hydra.sweeper.")


def commands(block: Block) -> Iterator[str]:
    """Yields the command lines of a bash or console block, continuations joined, without output and comments."""
    text = re.sub(r"<<-?\s*['\"]?(\w+)['\"]?(.*)\n(?:.*\n)*?\s*\1$", r"\2", block.text, flags=re.MULTILINE)
    if block.language == "console":
        lines, going_on = [], False
        for line in text.splitlines():
            if line.startswith("$ ") or going_on:
                lines.append(line.removeprefix("$ ").removeprefix("> "))
                going_on = line.endswith("\\")
        text = "\n".join(lines)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.strip().startswith("#"):
            yield line.strip()


def faults(block: Block) -> list[str]:
    """Returns what is wrong with the commands of a block, a sentence each.

    - ``make X``: the Makefile has the target;
    - ``python SCRIPT ...``: a script of ours exists; flags beside overrides are Hydra's; overrides parse by Hydra's
      grammar, and those of Hydra's own node compose, with the launchers' schemas and ours, and have legal values;
    - ``neuropt COMMAND ...``: the command and its options exist, and its overrides are checked likewise;
    - ``pip install``: our extras exist, and so do files behind -c and -r;
    - a line of overrides alone is checked as if it stood behind a script.
    """
    found = [] if list(commands(block)) else ["no command in it: in a console block these begin with `$ `"]
    for line in commands(block):
        try:
            for words in _simple(line):
                found += [f"`{line}`: {fault}" for fault in _one(words)]
        except ValueError as error:
            found.append(f"`{line}`: a shell cannot read it: {error}")
    return [f"{block.where}: {fault}" for fault in found]


def _simple(line: str) -> Iterator[list[str]]:
    """Yields the simple commands of a line, without assignments and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";&|()") and word:
            if words:
                yield words
            words = []
        elif not (not words and re.match(r"^[A-Z_][A-Z0-9_]*=", word)):
            words.append(word)


def _one(words: list[str]) -> list[str]:
    if any(set(word) <= set("<>") for word in words):
        words = words[: next(n for n, word in enumerate(words) if set(word) <= set("<>"))]
    name, rest = Path(words[0]).name if words else "", words[1:]
    if name == "make":
        return _make(rest)
    if re.fullmatch(r"python[\d.]*", name):
        return _python(rest)
    if name == "neuropt":
        return _neuropt(rest)
    if name == "pip":
        return _pip(rest)
    if words and _OVERRIDE.match(words[0]):
        return _overrides(words)
    if not words or name in FREE or words[0] in FREE:
        return []
    if "/" in words[0] and (ROOT / words[0]).exists():
        return []
    return [f"{words[0]} is no command that these pages know; see FREE in tests/support/command_lines.py"]


def _make(rest: list[str]) -> list[str]:
    makefile = (ROOT / "Makefile").read_text()
    targets = [word for word in rest if "=" not in word and not word.startswith("-")]
    return [f"no target {t}" for t in targets if not re.search(rf"^{re.escape(t)}:", makefile, flags=re.MULTILINE)]


def _python(rest: list[str]) -> list[str]:
    if not rest or rest[0] == "-c":
        return []
    if rest[0] == "-m":
        return _pip(rest[2:]) if rest[1] == "pip" else []
    script, given = rest[0], rest[1:]
    ours = script.split("/")[0] in ("examples", "benchmarks", "tests", "docs")
    if ours and not (ROOT / script).exists():
        return [f"there is no {script}"]
    if any("hydra" in word for word in given) or any(_OVERRIDE.match(word) for word in given):
        return _hydra(given)
    source = (ROOT / script).read_text() if ours else ""
    return [f"{script} has no {word}" for word in given if ours and word[0] == "-" and word not in source]


def _hydra(given: list[str]) -> list[str]:
    try:
        asked = get_args_parser().parse_args(given)
    except SystemExit:
        return ["Hydra does not know one of its flags"]
    return _overrides(asked.overrides)


def _neuropt(rest: list[str]) -> list[str]:
    group: Any = typer.main.get_command(app)
    if not rest or rest[0].startswith("-"):
        return [] if set(rest) <= {"--help", "--install-completion", "--show-completion", "--version"} else [str(rest)]
    if rest[0] not in group.commands:
        return [f"neuropt has no command {rest[0]}; it has {', '.join(sorted(group.commands))}"]
    command = group.commands[rest[0]]
    options = {name: p for p in command.params for name in (*p.opts, *p.secondary_opts) if name.startswith("-")}
    found, places = [], 0
    words = iter(rest[1:])
    overrides = []
    for word in words:
        flag, _, value = word.partition("=")
        if flag.startswith("-") and flag not in (*options, "--help", "--"):
            found.append(f"neuropt {rest[0]} has no option {flag}; it has {', '.join(sorted(options))}")
        elif flag in options:
            if not getattr(options[flag], "is_flag", False) and not value:
                next(words, None)
        elif _OVERRIDE.match(word):
            overrides.append(word)
        elif not flag.startswith("-"):
            places += 1
    most = sum(1 if p.nargs == 1 else 99 for p in command.params if p.param_type_name == "argument")
    if places > most:
        found.append(f"neuropt {rest[0]} takes at most {most} arguments")
    return found + _overrides(overrides)


def _pip(rest: list[str]) -> list[str]:
    if not rest or rest[0] != "install":
        return []
    # tomllib came with Python 3.11.
    table = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = re.findall(r"^([\w-]+) = \[", table, flags=re.MULTILINE)
    files = [path for flag, path in pairwise(rest) if flag in ("-c", "-r")]
    found = [f"there is no {path}" for path in files if not (ROOT / path).exists()]
    for word in rest[1:]:
        named = re.match(r"(?:hydra-neuropt-sweeper|\.)\[([\w,-]+)\]", word)
        found += [f"there is no extra {e}" for e in (named[1].split(",") if named else ()) if e not in extras]
        if word.startswith("neuropt"):
            found.append("neuropt is another project's name; ours is hydra-neuropt-sweeper")
    return found


def _overrides(texts: Sequence[str]) -> list[str]:
    """Checks overrides: the grammar of all, the keys and values of Hydra's, the spaces of the others."""
    texts = [re.sub(r"\$\(?\w+\)?|\$\{[A-Z_]+\}", "X", text) if "${oc" not in text else text for text in texts]
    try:
        parsed = OverridesParser.create().parse_overrides(list(texts))
    except HydraException as error:
        return [f"Hydra cannot read it: {str(error).splitlines()[0]}"]
    hydras = [t for t, o in zip(texts, parsed, strict=True) if o.key_or_group.split("/")[0].split(".")[0] == "hydra"]
    others = [t for t, o in zip(texts, parsed, strict=True) if t not in hydras]
    if not any(text.lstrip("+").startswith(_SWEEPER) for text in hydras):
        return [] if not hydras else _composed(tuple(hydras))
    try:
        parse_arguments(others)
    except NeuroptError as error:
        return [str(error)]
    return _composed(("hydra/sweeper=neuropt", *(t for t in hydras if not t.startswith("hydra/sweeper="))))


@cache
def _composed(hydras: tuple[str, ...]) -> list[str]:
    try:
        with initialize(version_base="1.3", config_path=None):
            hydra = compose(overrides=list(hydras), return_hydra_config=True).hydra
    except (HydraException, OmegaConfBaseException) as error:
        return [" ".join(str(error).split())]
    return sweeper_faults(hydra.sweeper) if "neuropt" in hydra.sweeper._target_ else []


def sweeper_faults(sweeper: Any) -> list[str]:
    """Returns what is wrong with a node hydra.sweeper of ours that Hydra has composed."""
    try:
        plain = {k: v for k, v in OmegaConf.to_container(sweeper, resolve=False).items() if k != "_target_"}
        read_settings(plain)
        parse_params(plain["params"].items())
    except NeuroptError as error:
        return [str(error)]
    return []
