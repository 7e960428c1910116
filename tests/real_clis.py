"""The real coding agents for tests: pinned, installed once from npm under `var/`, reused.

Nothing here reaches a model: tests give the agents a scripted one (`tests.model_server`).
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from apps.units.accounts import UID_RANGE
from apps.units.reach import first_closed
from apps.workers.agents import claude_code, codex, factory_droid
from orchestrator.env import ROOT

PACKAGES = {
    "@anthropic-ai/claude-code": claude_code.VERSION,
    "@openai/codex": codex.VERSION,
    "@factory/cli-linux-x64": factory_droid.VERSION,
}
"""The versions that the agents' images have."""
PROGRAMS = {
    "claude": "node_modules/@anthropic-ai/claude-code/bin/claude.exe",
    "codex": "node_modules/@openai/codex/bin/codex.js",
    "droid": "node_modules/@factory/cli-linux-x64/bin/droid",
}
INSTALL_SECONDS = 300
VERSION_SECONDS = 60


class NotInstalled(Exception):
    """The agents cannot be had on this machine; the message says why."""


def require() -> Path:
    """Return the directory of `claude`, `codex` and `droid`; skip the test if they cannot be had."""
    found = _installed()
    if isinstance(found, str):
        pytest.skip(f"real agents: {found}")
    return found


@cache
def _installed() -> Path | str:
    """Return the directory, or why there is none; a registry that is missing is waited for once."""
    try:
        return install(_place())
    except NotInstalled as error:
        return str(error)


def install(place: Path) -> Path:
    """Install the pinned versions, unless they are there, and return the directory of the programs.

    Raises:
        NotInstalled: npm is missing or cannot get them, or one does not run here.

    """
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    programs = place / "bin"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            _install_packages(place)
            programs.mkdir(exist_ok=True)
            for name, target in PROGRAMS.items():
                (programs / name).unlink(missing_ok=True)
                (programs / name).symlink_to(Path("..") / target)
            _check_versions(place)
            (place / "complete").touch()
    return programs


def _place() -> Path:
    """Return where they live: under `var/`, or where an unprivileged worker can reach them."""
    versions = json.dumps(PACKAGES, sort_keys=True)
    name = f"agents-{hashlib.sha256(versions.encode()).hexdigest()[:12]}"
    var = ROOT / "var"
    uid = UID_RANGE.start if os.geteuid() == 0 else os.getuid()
    is_open = var.is_dir() and first_closed(var, uid) is None
    return (var if is_open else Path(tempfile.gettempdir())) / name


def _install_packages(place: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is not installed")
    (place / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}))
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        ended = subprocess.run(
            command, cwd=place, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"npm did not end within {INSTALL_SECONDS} s") from error
    if ended.returncode != 0:
        said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        raise NotInstalled(f"npm failed: {said[0] if said else ended.returncode}")


def _check_versions(place: Path) -> None:
    for name, version in zip(PROGRAMS, PACKAGES.values(), strict=True):
        home = tempfile.mkdtemp()
        environment = {"PATH": os.environ["PATH"], "HOME": home}
        try:
            ended = subprocess.run(
                [place / "bin" / name, "--version"],
                capture_output=True,
                text=True,
                timeout=VERSION_SECONDS,
                env=environment,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotInstalled(f"{name} does not run here: {type(error).__name__}") from error
        finally:
            shutil.rmtree(home, ignore_errors=True)
        if version not in ended.stdout:
            raise NotInstalled(f"{name} is not of version {version}")
