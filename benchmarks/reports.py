"""How large the reports become and how long they take to write: report.html, and the plan of the one in W&B.

Run: ``PYTHONPATH=tests/support python benchmarks/reports.py``
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from report_scenes import fine_tuning

from neuropt_core.sinks._report_plan import report_plan
from neuropt_core.sinks.html import report_html

_SIZES = ((20, 10, 0), (60, 50, 0), (60, 50, 10_000), (100, 300, 0), (300, 50, 0), (1_000, 50, 0))
"""Trials, epochs of each, and characters by which each rationale is made longer."""
_REPEATS = 3


def main() -> None:
    """Prints a table; the seconds are those of the CPU, the least and the most of some repeats."""
    print("| trials | epochs | more characters in each rationale | report.html | s | W&B's plan | s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for trials, epochs, characters in _SIZES:
            scene = fine_tuning(Path(folder), trials=trials, epochs=epochs, long=characters)
            cells = []
            for write in (
                lambda s=scene: report_html(s, status="ended"),
                lambda s=scene: json.dumps(report_plan(s, project="p", entity="e", draft=False)),
            ):
                seconds, text = [], ""
                for _ in range(_REPEATS):
                    began = time.process_time()
                    text = write()
                    seconds.append(time.process_time() - began)
                cells.append(f"{len(text.encode()) / 1000:.0f} kB | {min(seconds):.2f} to {max(seconds):.2f}")
            print(f"| {trials} | {epochs} | {characters:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
