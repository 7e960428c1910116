"""The commands of the worker, under `python -m worker`.

`run` works until SIGTERM or SIGINT, `add NAME [JSON]` adds a job, `count` tells how many there are by status.
"""

import json
import logging
import signal
import sys
import threading

from worker import jobs, service
from worker.queue import Queue
from worker.settings import Settings, SettingsInvalid


def main(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    try:
        settings = Settings.from_environment()
        match arguments:
            case ["run"]:
                _run(settings)
            case ["add", name, *rest] if len(rest) <= 1:
                _add(settings, name, rest[0] if rest else "{}")
            case ["count"]:
                with Queue(settings.data_dir) as queue:
                    sys.stdout.write(json.dumps(queue.count()) + "\n")
            case _:
                sys.stderr.write("usage: python -m worker run | add NAME [JSON] | count\n")
                return 2
    except (SettingsInvalid, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run(settings: Settings) -> None:
    logging.basicConfig(level=settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service.run(settings.data_dir, jobs.load(), stop)


def _add(settings: Settings, name: str, text: str) -> None:
    payload = json.loads(text)
    if not isinstance(payload, dict):
        raise ValueError("The payload must be a JSON object")
    if name not in jobs.load():
        raise ValueError(f"There is no job {name}")
    with Queue(settings.data_dir) as queue:
        sys.stdout.write(f"{queue.add(name, payload)}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
