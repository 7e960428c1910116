"""Run every static check, two at a time, and print one line per check; the exit code is honest.

The output of a check is shown only when it fails.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MANAGE = (sys.executable, "manage.py")

CHECKS: dict[str, tuple[str, ...]] = {
    "mypy": (str(BIN / "mypy"),),
    "ruff": (str(BIN / "ruff"), "check", "--quiet", "."),
    "imports between layers": (str(BIN / "lint-imports"),),
    "system checks": (*MANAGE, "check", "--fail-level", "WARNING"),
    "missing migrations": (*MANAGE, "makemigrations", "--check", "--dry-run"),
    "OpenAPI document": (*MANAGE, "export_openapi", "--check"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one check went."""

    name: str
    passed: bool
    seconds: float
    output: str


def run(name: str) -> Outcome:
    """Run one check and print its line."""
    began = time.monotonic()
    # Tools need Django's settings but no services.
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "orchestrator.settings.lint"}
    result = subprocess.run(CHECKS[name], cwd=ROOT, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - began
    passed = result.returncode == 0
    print(f"  {name:<28} {'ok' if passed else 'FAILED':<8} {seconds:6.1f} s", flush=True)
    return Outcome(name=name, passed=passed, seconds=seconds, output=result.stdout + result.stderr)


def main() -> int:
    """Run all checks and return the exit code."""
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(run, CHECKS))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        print(f"\n--- {outcome.name}\n{outcome.output.rstrip()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
