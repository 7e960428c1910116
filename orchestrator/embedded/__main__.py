"""``python -m orchestrator.embedded start|stop|status``; the state directory is ``VAR_DIR``, else ``var``."""

import os
import sys
from pathlib import Path

from orchestrator.embedded import Embedded, ServerFailed
from orchestrator.envfile import find_var_dir

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("postgres", "broker", "channel")


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    if len(arguments) != 1 or arguments[0] not in ("start", "stop", "status"):
        print("usage: python -m orchestrator.embedded start|stop|status", file=sys.stderr)
        return 2
    embedded = Embedded(find_var_dir(os.environ, ROOT))
    try:
        if arguments[0] == "start":
            embedded.start()
        elif arguments[0] == "stop":
            embedded.stop()
    except ServerFailed as error:
        print(error, file=sys.stderr)
        return 1
    for name in NAMES:
        pid = embedded.pid(name)
        print(f"{name:10} {'stopped' if pid is None else f'pid {pid}'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
