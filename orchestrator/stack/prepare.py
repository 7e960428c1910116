"""One-off commands around the stack: migrations, the first administrator, the units' end."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND_SECONDS = 180


class CommandFailed(RuntimeError):
    """A command of the set-up failed; the message ends with what it printed."""


def prepare_database(env: Mapping[str, str], *, var_dir: Path, root: Path, remember: bool) -> bool:
    """Apply the migrations unless nothing changed since the last time.

    Args:
        env: environment of ``manage.py``.
        var_dir: state directory.
        root: the checkout.
        remember: the database is our own: a stamp beside its data spares the next start the command.

    Returns:
        Whether the migrations ran.

    Raises:
        CommandFailed: they failed.

    """
    # Beside the data, so that it goes when the data goes.
    stamp = var_dir / "postgres" / "migrated"
    code = _digest(root)
    if remember and stamp.exists() and stamp.read_text() == code:
        return False
    run_manage("migrate", "--no-input", "--verbosity", "0", env=env, root=root)
    if remember:
        stamp.write_text(code)
    return True


def _digest(root: Path) -> str:
    """Return a digest of all code that a migration or a post-migrate receiver may depend on."""
    digest = hashlib.sha256((root / "requirements" / "base.txt").read_bytes())
    for package in ("apps", "orchestrator"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def run_manage(*arguments: str, env: Mapping[str, str], root: Path) -> str:
    """Run a ``manage.py`` command and return what it printed.

    Raises:
        CommandFailed: it exited with another code than 0.

    """
    return _run([sys.executable, str(root / "manage.py"), *arguments], env=env, root=root)


def stop_units(env: Mapping[str, str], *, var_dir: Path, root: Path) -> None:
    """Stop every detached unit (worker, check, local deployment) of this state directory.

    Raises:
        CommandFailed: some unit could not be stopped.

    """
    units = var_dir / "units"
    if units.exists():
        _run([sys.executable, "-m", "apps.units", "stop-all", "--root", str(units)], env=env, root=root)


def _run(argv: list[str], *, env: Mapping[str, str], root: Path) -> str:
    result = subprocess.run(
        argv, env=dict(env), cwd=root, capture_output=True, text=True, timeout=COMMAND_SECONDS
    )
    if result.returncode != 0:
        output = (result.stdout + result.stderr).strip()[-2_000:]
        raise CommandFailed(f"{' '.join(argv[1:3])} exited {result.returncode}:\n{output}")
    return result.stdout
