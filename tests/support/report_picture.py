"""Draws pictures of report.html, with a Chromium.

python tests/support/report_picture.py                       docs/report.png, of a made-up study
python tests/support/report_picture.py REPORT.html OUT.png   of a real one: docs/report_digits.png is examples/wandb
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from report_scenes import fine_tuning

from neuropt_core.sinks.html import report_html

PICTURE = Path(__file__).parents[2] / "docs" / "report.png"
_WIDTH = 1120


def main() -> None:
    """Writes the picture: the first screen and the charts."""
    given, target = (Path(sys.argv[1]), Path(sys.argv[2])) if len(sys.argv) > 1 else (None, PICTURE)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = given or Path(folder) / "report.html"
        if given is None:
            scene = fine_tuning(Path("/data/sweeps/2026-11-23/03-10-00"))
            text = report_html(scene, status="ended: all 60 trials are done", written="2026-11-23 03:10 UTC")
            file.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": 900})
        page.goto(file.absolute().as_uri())
        height = page.locator("#charts").evaluate("charts => charts.getBoundingClientRect().bottom + 24")
        picture = page.screenshot(clip={"x": 0, "y": 0, "width": _WIDTH, "height": height}, full_page=True)
        browser.close()
    # Few colours are enough for flat ones, and a third of the size.
    few = (
        Image.open(io.BytesIO(picture))
        .convert("RGB")
        .quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    )
    few.save(target, optimize=True)


if __name__ == "__main__":
    main()
