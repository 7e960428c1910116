"""``python -m apps.units list|stop-all``: what is running, and the end of all of it."""

import argparse
import sys
from pathlib import Path

from apps.units.supervisor import Units

_DEFAULT_ROOT = Path(__file__).resolve().parents[2] / "var" / "units"


def main(arguments: list[str]) -> int:
    """Carry out one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m apps.units", description=__doc__)
    parser.add_argument("command", choices=("list", "stop-all"))
    parser.add_argument("--root", type=Path, default=_DEFAULT_ROOT, help="directory of the units")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds before what is left is killed")
    chosen = parser.parse_args(arguments)
    if not chosen.root.is_dir():
        return 0
    units = Units(chosen.root)
    if chosen.command == "list":
        for state in units.list_owned():
            print(f"{state.name}\t{state.phase}\t{'' if state.exit_code is None else state.exit_code}")
    else:
        for name in units.stop_all(grace_seconds=chosen.grace):
            print(f"stopped {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
