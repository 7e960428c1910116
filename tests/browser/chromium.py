"""Finds the Chromium of this machine, and brings Debian's own where that is allowed."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium",)
INSTALL_SECONDS = 600
HINT = "BROWSER_INSTALL=1 installs one, as root on Debian"


class NoBrowser(Exception):
    """There is no browser, and none may or can be brought; the message says why."""


@cache
def find() -> Path:
    """Return the program.

    Raises:
        NoBrowser: the tests that need one are to be skipped, with these words.
    """
    if configured := os.environ.get("BROWSER_PROGRAM"):
        return Path(configured)
    if found := _installed():
        return found
    if os.environ.get("BROWSER_INSTALL") != "1":
        raise NoBrowser(f"no Chromium is installed ({HINT})")
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise NoBrowser("no Chromium is installed, and only root on Debian can be given one")
    _install()
    if found := _installed():
        return found
    raise NoBrowser("the packages were installed, and there is still no Chromium")


def _installed() -> Path | None:
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return Path(found) if found else None


def _install() -> None:
    options = ("-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update", "-q"), ("install", *options, *PACKAGES)):
        ended = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
        if ended.returncode:
            words = (ended.stdout + ended.stderr).strip()[-1_000:]
            raise NoBrowser(f"apt-get {command[0]} exited {ended.returncode}: {words}")
