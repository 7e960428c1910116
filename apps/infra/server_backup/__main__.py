"""Archives what projects keep on this server, brings it back, and proves that it can be brought back.

    codegen-backup run                        archive every project
    codegen-backup list                       the archives there are
    codegen-backup restore PROJECT [ARCHIVE]  put one (the newest) in place; what is there now is archived
    codegen-backup drill                      unpack each newest one elsewhere and compare

A project's data are its Docker volumes, the directory ``data`` beside its releases, and what its processes
keep in their DATA_DIR. Containers and processes are held while it is read, so all of it is of one moment:
what a database recovers after a power cut, it recovers from this. One line of JSON is printed; the exit code
is 0 if all went well. It runs on servers, by the Python of their distribution.
"""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.infra.server_backup.archives import archive, drill, restore
from apps.infra.server_backup.projects import ERROR_CHARACTERS, Project, Refused, is_name, thaw

SETTINGS = Path(os.environ.get("CODEGEN_BACKUP_SETTINGS", "/etc/codegen-backup.json"))


def every(settings: dict[str, Any], act: Callable[[Project], dict[str, Any]]) -> dict[str, Any]:
    """Do something with every project; one that fails stops no other."""
    homes = [home for key in ("projects", "services") if (home := Path(settings[key])).is_dir()]
    names = {path.name for home in homes for path in home.iterdir() if path.is_dir()}
    results: dict[str, Any] = {}
    for name in sorted(filter(is_name, names)):
        try:
            results[name] = act(Project(name, settings))
        except (Refused, OSError, subprocess.SubprocessError) as error:
            results[name] = {"outcome": "failed", "error": str(error)[:ERROR_CHARACTERS]}
        except Exception as error:
            # Also what nobody thought of, as a note without its fields, is one project's and no other's.
            words = f"{type(error).__name__}: {error}"
            results[name] = {"outcome": "failed", "error": words[:ERROR_CHARACTERS]}
    return results


def main(words: list[str]) -> int:
    """Do what the command line says."""
    settings = json.loads(SETTINGS.read_text())
    archives = Path(settings["archives"])
    os.umask(0o077)
    with (archives / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thaw(archives / ".paused")
        match words:
            case ["run"]:
                results = every(settings, archive)
            case ["drill"]:
                results = every(settings, drill)
            case ["list"]:
                results = every(settings, lambda each: {"archives": [path.name for path in each.complete()]})
            case ["restore", name, *rest] if len(rest) < 2:
                only = Project(name, settings)
                results = {name: restore(only, rest[0] if rest else None)}
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    print(json.dumps({"projects": results}))
    return int(any(each.get("outcome") in ("failed", "mismatch") for each in results.values()))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refused as refusal:
        sys.exit(f"codegen-backup: {refusal}")
