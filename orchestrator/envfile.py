"""The one reader of ``.env``-like files, and where the state directory is.

Standard library only and no import of ours: the set-up of a fresh machine uses it before any package is
installed.
"""

from collections.abc import Mapping
from pathlib import Path

_QUOTES = ("'", '"')


def read_env_file(path: Path) -> dict[str, str]:
    """Read ``NAME=value`` lines; empty if the file is missing or not ours to read.

    Blank lines, ``#`` lines and lines without ``=`` say nothing, an empty value is as good as none, one pair
    of quotes around a value is taken off, a leading ``export`` too. Nothing is expanded.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, PermissionError):
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    values = {key.strip().removeprefix("export ").strip(): _unquoted(value.strip()) for key, value in pairs}
    return {key: value for key, value in values.items() if value}


def _unquoted(value: str) -> str:
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in _QUOTES
    return value[1:-1] if is_quoted else value


def find_var_dir(given: Mapping[str, str], root: Path) -> Path:
    """Return the state directory: ``VAR_DIR`` of the process, else of ``.env``, else ``var``.

    Args:
        given: environment of the process.
        root: the checkout; a relative ``VAR_DIR`` is taken from there.
    """
    named = given.get("VAR_DIR") or read_env_file(root / ".env").get("VAR_DIR") or "var"
    return (root / named).absolute()


def read_values(given: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return every variable that has a value, in the order of precedence of ``orchestrator.env``."""
    var_dir = find_var_dir(given, root)
    values: dict[str, str] = {}
    for written in ("installers.env", "runtime.env", "embedded.env"):
        values |= read_env_file(var_dir / written)
    return values | read_env_file(root / ".env") | {key: value for key, value in given.items() if value}
