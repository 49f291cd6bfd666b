"""Records the terminal of somebody who meets neuropt for the first time: docs/first_session.md.

Usage: python tests/support/first_session.py FOLDER WHEEL, in a machine's own terminal; it takes some minutes, since it
installs all that it needs. FOLDER is made anew, with the two files of the quick start.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from socket import gethostname

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "first_session.md"
NAME, WIDTH, HEIGHT = "first-session", 118, 50

COMMANDS = (
    ("An empty environment, and the two files of the [quick start](quickstart.md).", "ls"),
    ("", "python3 -m venv .venv && . .venv/bin/activate"),
    ("Until the first release neuropt itself comes as a file; torch is yours to choose.", "{install}"),
    ("What would a sweep find? Nothing is trained.", "neuropt inspect train.py"),
    (
        "The sweep: trial 0 is the configuration as it stands.",
        "python train.py --multirun hydra/sweeper=neuropt hydra.sweeper.n_trials=8 hydra.sweep.dir=sweep",
    ),
    ("How does the study stand?", "neuropt results sweep --top 5"),
    ("Why was a trial tried, and what came of it?", "neuropt replay sweep --trial 1"),
    ("The best configuration becomes a config of the script's own.", "neuropt export sweep"),
    ("", "python train.py --config-name best"),
    (
        "The page with the whole story lies in the sweep's folder, and is made anew by a command.",
        "neuropt report sweep",
    ),
)

HEAD = """# A first session, recorded

A terminal of somebody who has never used neuropt, from `pip install` to the report: typed into tmux, captured as text,
and not edited but for Hydra's own lines of each job, which are left out where `[...]` stands, and the names of machine
and folder. No key is set, so the rules of thumb and Optuna advise. `tests/support/first_session.py` records it anew.
"""


def tmux(*arguments: str) -> str:
    """Runs a command of tmux and returns what it prints."""
    return subprocess.run(["tmux", *arguments], check=True, capture_output=True, text=True).stdout


def shown() -> list[str]:
    """Returns all lines of the terminal so far, those that have scrolled away included."""
    return [line.rstrip() for line in tmux("capture-pane", "-p", "-J", "-t", NAME, "-S", "-").rstrip().splitlines()]


def typed(command: str, seconds: float = 1800) -> list[str]:
    """Types a command, waits for the next prompt, and returns the lines that came of it."""
    before = len(shown())
    tmux("send-keys", "-t", NAME, "-l", command)
    tmux("send-keys", "-t", NAME, "Enter")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(1.0)
        lines = shown()
        if len(lines) > before and lines[-1].endswith("$"):
            return lines[before - 1 : -1]
    raise SystemExit(f"{command} did not end within {seconds} s")


def told(lines: list[str], home: str) -> list[str]:
    """Returns lines without Hydra's own, and without the machine's folder and name."""
    kept: list[str] = []
    for line in (line.replace(home, "~/digits").replace(f"host {gethostname()}", "host laptop") for line in lines):
        if re.match(r"\[\d{4}-\d\d-\d\d .*\]\[HYDRA\]", line):
            line = "[...]"
        if not (line == "[...]" and kept and kept[-1] == "[...]"):
            kept.append(line)
    return kept


def main() -> None:
    """Records the session and writes the page."""
    folder, wheel = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(wheel, folder)
    shutil.copy(ROOT / "constraints.txt", folder)
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    for name in ("train.py", "config.yaml"):
        text = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", page, flags=re.DOTALL)
        assert text is not None, name
        (folder / name).write_text(text[1], encoding="utf-8")
    install = f"pip install -qq -c constraints.txt ./{wheel.name} torch scikit-learn"
    subprocess.run(["tmux", "kill-session", "-t", NAME], capture_output=True, check=False)
    clean = "env -u PYTHONDONTWRITEBYTECODE -u PYTHONPATH -u ANTHROPIC_API_KEY -u OPENAI_API_KEY OMP_NUM_THREADS=1 "
    shell = f"{clean} PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PS1='$ ' bash --norc --noprofile"
    size = ("-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(folder))
    tmux("set-option", "-g", "history-limit", "20000", ";", "new-session", "-d", "-s", NAME, *size, shell)
    time.sleep(1.0)
    parts = [HEAD]
    for words, command in COMMANDS:
        lines = told(typed(command.format(install=install)), str(folder))
        parts.append("\n".join([*([words, ""] if words else []), "```text", *lines, "```", ""]))
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    tmux("kill-session", "-t", NAME)


if __name__ == "__main__":
    main()
