"""Kill every kind of process at every stage of a run; print the matrix and keep it in var/chaos."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the journey and return its exit code."""
    target = Path(os.environ.get("VAR_DIR") or ROOT / "var") / "chaos" / "latest.json"
    target.unlink(missing_ok=True)
    environment = os.environ | {"CHAOS": "all", "CHAOS_FILE": str(target)}
    argv = [sys.executable, "-m", "pytest", "-q", "-rs", "tests/journeys/test_kills.py"]
    code = subprocess.run(argv, cwd=ROOT, env=environment).returncode
    for row in json.loads(target.read_text()) if target.exists() else []:
        place = "landed" if row["landed"] else "too late"
        words = f"{place:<9} {row['status']:<10} ended {row['seconds']:>5.1f} s after the process was back"
        print(f"  {row['kind']:<11} at {row['stage']:<17} {words}")
    return code


if __name__ == "__main__":
    sys.exit(main())
