"""``python -m orchestrator.stack.containers choose|dissolve``: what the stack asks about Docker.

A process of its own, so that the stack, which only starts and watches others, needs no Docker library.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from apps.errors import OrchestratorError
from apps.workers.runtime import choice
from apps.workers.runtime.docker import DockerRuntime
from orchestrator.envfile import read_values
from orchestrator.installation import BASE_IMAGE, LOCAL_BASE_IMAGE, bridge_name, installation_id

ROOT = Path(__file__).resolve().parents[2]
#: A daemon that keeps silent for longer is as good as none.
_CHOICE_SECONDS: Final = 5.0
_DISSOLVE_SECONDS: Final = 60.0


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("choose", "dissolve"))
    parser.add_argument("--homes", action="store_true", help="dissolve: the homes of Product Owners too")
    options = parser.parse_args(arguments)
    values = read_values(os.environ, ROOT)
    try:
        if options.command == "choose":
            print(json.dumps(choose(values)))
        else:
            docker_of(values, seconds=_DISSOLVE_SECONDS).dissolve(keep_homes=not options.homes)
    except (ValueError, OrchestratorError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def choose(values: Mapping[str, str]) -> dict[str, str]:
    """Return the choice and whose containers they would be.

    Raises:
        ValueError: WORKERS_RUNTIME names no runtime.
    """
    installation = installation_of(values)
    chosen = choice.choose(
        values.get("WORKERS_RUNTIME", choice.AUTO),
        docker=docker_of(values, seconds=_CHOICE_SECONDS),
        base_images=base_images(values),
        interface=bridge_name(installation),
    )
    return {**asdict(chosen), "installation": installation}


def possible(values: Mapping[str, str]) -> choice.RuntimeChoice:
    """Return what this machine offers, without changing anything on it."""
    return choice.look(docker_of(values, seconds=_CHOICE_SECONDS), base_images(values))


def installation_of(values: Mapping[str, str]) -> str:
    """Return the installation's id, as the settings do."""
    return values.get("WORKERS_INSTALLATION") or installation_id(values.get("SECRET_KEY", ""))


def base_images(values: Mapping[str, str]) -> list[str]:
    """Return what worker images may be built on, the best first."""
    configured = values.get("WORKERS_BASE_IMAGE")
    return [configured] if configured else [BASE_IMAGE, LOCAL_BASE_IMAGE]


def docker_of(values: Mapping[str, str], *, seconds: float) -> DockerRuntime:
    """Return the containers of this installation; nothing is asked yet."""
    installation = installation_of(values)
    return DockerRuntime(
        installation=installation, interface=bridge_name(installation), timeout_seconds=seconds
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
