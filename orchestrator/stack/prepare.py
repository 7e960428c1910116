"""One-off commands around the stack: migrations, the first administrator, the units' end."""

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.envfile import read_values

COMMAND_SECONDS = 180


class CommandFailed(RuntimeError):
    """A command of the set-up failed; the message ends with what it printed."""


def check_settings(env: Mapping[str, str], *, var_dir: Path, root: Path) -> None:
    """Refuse what would only fail the next new project; free where no template of others is named.

    Raises:
        CommandFailed: naming the setting.

    """
    values = read_values(env, root)
    if not any(values.get(f"SCAFFOLD_TEMPLATE{end}") for end in ("", "_REF", "_MAP")):
        return
    from apps.errors import OrchestratorError
    from apps.projects.template_check import check_template

    try:
        check_template(values, var_dir=var_dir, outer=env)
    except OrchestratorError as error:
        raise CommandFailed(error.message) from error


def prepare_database(env: Mapping[str, str], *, var_dir: Path, root: Path, remember: bool) -> str:
    """Apply the migrations and make the first administrator, unless nothing changed since the last time.

    Args:
        env: environment of the command.
        var_dir: state directory.
        root: the checkout.
        remember: the database is our own: a stamp beside its data spares the next start the command.

    Returns:
        What it printed: the administrator's first password, or nothing.

    Raises:
        CommandFailed: it failed.

    """
    # Beside the data, so that it goes when the data goes.
    stamp = var_dir / "postgres" / "migrated"
    code = _digest(root)
    if remember and stamp.exists() and stamp.read_text() == code:
        return ""
    printed = run_module("orchestrator.stack.database", env=env, root=root)
    if remember:
        stamp.write_text(code)
    return printed


def _digest(root: Path) -> str:
    """Return a digest of all code that a migration or a post-migrate receiver may depend on."""
    digest = hashlib.sha256((root / "requirements" / "base.txt").read_bytes())
    for package in ("apps", "orchestrator"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def prepare_socket(path: Path) -> Path:
    """Make a socket's directory, which must be ours alone, and return the socket's path.

    Raises:
        CommandFailed: the directory is somebody else's, or open to others.

    """
    with suppress(FileExistsError):
        path.parent.mkdir(mode=0o700, parents=True)
    found = path.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise CommandFailed(f"{path.parent} is not ours alone; remove it and start again")
    return path


def stop_units(env: Mapping[str, str], *, var_dir: Path, root: Path) -> None:
    """Stop every detached unit (worker, check, local deployment) of this state directory.

    Raises:
        CommandFailed: some unit could not be stopped.

    """
    units = var_dir / "units"
    if units.exists():
        run_module("apps.units", "stop-all", "--root", str(units), env=env, root=root)


def run_module(
    module: str, *arguments: str, env: Mapping[str, str], root: Path, seconds: float = COMMAND_SECONDS
) -> str:
    """Run ``python -m module`` at the root of the checkout and return what it printed.

    Raises:
        CommandFailed: it exited with another code than 0, or not in time.

    """
    argv = [sys.executable, "-m", module, *arguments]
    try:
        result = subprocess.run(
            argv, env=dict(env), cwd=root, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{module} did not end within {seconds:g} s") from error
    if result.returncode != 0:
        output = (result.stdout + result.stderr).strip()[-2_000:]
        raise CommandFailed(f"{module} exited {result.returncode}:\n{output}")
    return result.stdout
