"""``python -m orchestrator.stack.farewell``: every worker hands in its work before the stack stops."""

import logging
import os
import sys
from typing import Final

import django

from apps.errors import OrchestratorError
from orchestrator.envfile import read_values
from orchestrator.stack.containers import ROOT, docker_of

#: After which no other worker is looked after.
SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 5.0


def main() -> int:
    """Part with the workers and return the exit code."""
    values = read_values(os.environ, ROOT)
    try:
        if values.get("WORKERS_RUNTIME") == "docker" and not _has_containers(values):
            return 0
        # Imported late: without workers the system is not needed.
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings.base")
        django.setup()
        from apps.workers import composition, farewell

        farewell.part(composition.get_hands(), seconds=SECONDS)
    except OrchestratorError as error:
        logging.getLogger(__name__).warning("%s", error)
        print(error, file=sys.stderr)
        return 1
    return 0


def _has_containers(values: dict[str, str]) -> bool:
    return bool(docker_of(values, seconds=_LOOK_SECONDS).list_owned())


if __name__ == "__main__":
    sys.exit(main())
