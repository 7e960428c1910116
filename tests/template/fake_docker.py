#!/usr/bin/env python3
"""Stands for `docker` where no engine is needed: remembers which release of a project is up.

The directory of its memory stands in FAKE_DOCKER; a release named in its file `broken` never gets well.
"""

import hashlib
import os
import sys
from pathlib import Path

MEMORY = Path(os.environ.get("FAKE_DOCKER", "."))


def _release() -> str:
    lines = Path(".env").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("RELEASE="))


def _compose(arguments: list[str]) -> None:
    if arguments == ["version"]:
        return
    up = MEMORY / "up"
    if "up" in arguments:
        up.write_text(_release())
        (MEMORY / "values").write_bytes(Path("compose.values.json").read_bytes())
        sys.stderr.write("pulled a layer\n" * 2_700 if (MEMORY / "talks").exists() else "")
    elif "down" in arguments:
        up.unlink(missing_ok=True)
    elif "logs" in arguments:
        sys.stdout.write("worker | broken on purpose\n")


def _inspect() -> None:
    broken = MEMORY / "broken"
    is_broken = broken.exists() and (MEMORY / "up").read_text() in broken.read_text()
    sys.stdout.write("c1 2 /x restarting unhealthy\n" if is_broken else "c1 0 /x running healthy\n")


def main(arguments: list[str]) -> None:
    """Do what docker would say it did."""
    match arguments:
        case ["compose", *rest]:
            _compose(rest)
        case ["build", *rest]:
            with (MEMORY / "built").open("a") as file:
                file.write(rest[rest.index("--tag") + 1] + "\n")
        case ["image", "inspect", *rest]:
            sys.stdout.write(f"sha256:{hashlib.sha256(rest[-1].encode()).hexdigest()}\n")
        case ["save", *images]:
            sys.stdout.write("\n".join(images))
        case ["load", *_]:
            sys.stdin.buffer.read()
        case ["ps", *_] if (MEMORY / "up").exists():
            sys.stdout.write("c1\n")
        case ["inspect", *_]:
            _inspect()


if __name__ == "__main__":
    main(sys.argv[1:])
