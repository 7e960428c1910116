"""Gives the tests real servers: loaded before Django reads its settings (see addopts in pyproject.toml).

`-m unit` starts nothing: such tests must not need a service.
"""

import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.embedded import Embedded

_PLACEHOLDERS = {
    "SECRET_KEY": "unit-tests",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "CHANNEL_REDIS_URL": "redis://127.0.0.1:2/0",
    "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    # Plain processes unless a test says otherwise: a journey in containers names its runtime itself.
    "WORKERS_RUNTIME": "process",
    # Of this very process: nothing of production, or of another test run, is ever touched.
    "WORKERS_INSTALLATION": f"t{secrets.token_hex(5)}",
    "WORKERS_IMAGE_PREFIX": "codegen-test-worker",
}


def _only_units() -> bool:
    arguments = sys.argv[1:]
    return "-munit" in arguments or ("-m", "unit") in pairwise(arguments)


def _is_xdist_controller() -> bool:
    spread = any(argument.startswith(("-n", "--numprocesses")) for argument in sys.argv[1:])
    return spread and "PYTEST_XDIST_WORKER" not in os.environ


def _start() -> Callable[[], None]:
    # Not pytest's own temporary directory: unprivileged units must be able to traverse it.
    var_dir = Path(tempfile.mkdtemp(prefix="orchestrator-tests-"))
    var_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    os.environ["VAR_DIR"] = str(var_dir)
    os.environ.update(_PLACEHOLDERS)
    (var_dir / "static").mkdir()  # WhiteNoise warns about a missing one, and warnings are errors
    if _only_units() or _is_xdist_controller():
        return lambda: shutil.rmtree(var_dir)
    # Every commit would wait for the disk, and pytest waits with it.
    embedded = Embedded(var_dir, is_durable=False)
    embedded.start()
    os.environ.update(embedded.env())
    return embedded.remove


_stop = _start()
# Whoever ends the run politely, a time limit for example, must not leave its servers behind.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch for tests that ask real models and cost money."""
    parser.addoption(
        "--run-e2e-real", action="store_true", help="run the tests that ask real models, with your keys"
    )


def pytest_unconfigure() -> None:
    """Stop the servers and delete their data."""
    _stop()
