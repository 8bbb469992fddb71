"""A page printed to PDF by a browser that is installed: headless Chromium or one of its kin."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from bayesgmm.errors import InputError

__all__ = ["BROWSERS", "find_browser", "printed"]

BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chrome-headless-shell",
    "microsoft-edge", "msedge", "brave-browser",
)  # fmt: skip
_SECONDS = 180.0


def find_browser() -> str:
    """The first of `BROWSERS` on the PATH.

    Raises
    ------
    InputError
        If there is none.
    """
    for name in BROWSERS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise InputError(
        "A PDF report is printed by a browser, and none of Chromium, Chrome and Edge is on the PATH: install one, or "
        "write an .html report and print it to PDF."
    )


def printed(html: str) -> bytes:
    """The page as PDF.

    Raises
    ------
    InputError
        If there is no browser, or it fails.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="bayesgmm-") as folder:
        page, out = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        command = [
            browser, "--headless", "--disable-gpu", "--no-sandbox", "--no-pdf-header-footer", "--disable-extensions",
            f"--user-data-dir={folder}/profile", f"--print-to-pdf={out}", page.as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
        except (OSError, subprocess.TimeoutExpired) as error:
            said = [str(error)]
        if not out.exists():
            raise InputError(
                f"{browser} did not print the report to PDF ({said[0][:200]}): write an .html report, and print it."
            )
        return out.read_bytes()
