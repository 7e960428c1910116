"""Spare containers: started before anybody needs them, so that a worker's container is there at once.

A spare is an ordinary container whose command was told to wait: it has loaded what it needs, and has neither
an identity nor a secret. The daemon looks a container up before it locks it, so two who rename one to two
names both succeed; therefore whoever wants a spare, to use or to delete it, first gives it the same passing
name, which the daemon grants once. Then it gets its final name, its inputs and its environment. Labels cannot
be changed any more; what they tell of others is told by a claimed spare's name, ``worker-<id>``. For
use inside ``asking``.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound

from apps.workers.runtime import base, docker_files
from apps.workers.runtime.docker_client import code_of
from apps.workers.runtime.docker_containers import (
    CONFLICT,
    create,
    current_name,
    destroy,
    start,
    summaries,
)
from apps.workers.runtime.docker_convert import (
    CONTAINER,
    ON_EXIT,
    POOL,
    Place,
    identity_of,
    is_spare,
    run_keywords,
)
from worker_image.contract import WAIT_FLAG

#: Older ones are replaced: what a spare knows of its surroundings is as old as itself.
SPARE_SECONDS: Final = 3_600.0
#: None that is so old is still being claimed.
_FORGOTTEN_SECONDS: Final = SPARE_SECONDS + 300.0
_SERVER_ERROR: Final = 500
_SAME_NAME: Final = "same name"


def claim(client: docker.DockerClient, spec: base.ContainerSpec, place: Place) -> bool:
    """Make a fitting spare the container of a spec; tells whether there was one."""
    if not _is_derivable(spec):
        return False
    found = summaries(client, place.installation, f"{POOL}={digest_of(spec, place)}", status="running")
    for summary in sorted(found, key=lambda summary: float(summary["Created"])):
        if time.time() - summary["Created"] < SPARE_SECONDS and (taken := _take(client, summary)):
            return _name(client, taken, spec)
    return False


def complete(client: docker.DockerClient, found: Mapping[str, Any], spec: base.ContainerSpec) -> None:
    """Finish what a crashed call may have left: a spare that has its name and perhaps no more."""
    if POOL in (found["Config"].get("Labels") or {}) and found["State"]["Running"]:
        _hand_over(client, spec)


def keep(
    client: docker.DockerClient,
    spec: base.ContainerSpec,
    place: Place,
    *,
    count: int,
) -> None:
    """Have so many spares that fit a spec, and no others; old ones are replaced.

    Args:
        client: the connection.
        spec: whose name, labels, environment and inputs do not matter.
        place: its surroundings.
        count: how many.

    """
    digest = digest_of(spec, place)
    wanted = {f"pool-{place.installation}-{digest}-{number}" for number in range(count)}
    kept = {}
    for summary in summaries(client, place.installation, POOL):
        name, age = current_name(summary), time.time() - summary["Created"]
        if name in wanted and age < SPARE_SECONDS and summary["State"] in {"created", "running"}:
            kept[name] = summary["State"]
        elif taken := _take(client, summary):
            destroy(client, taken)
        elif is_spare(summary["Labels"], name) and age > _FORGOTTEN_SECONDS:
            # Somebody took it and got no further.
            destroy(client, summary["Id"])
    for name in sorted(wanted - {name for name, state in kept.items() if state == "running"}):
        _start(client, None if name in kept else _keywords(spec, place, name, digest), name)


def digest_of(spec: base.ContainerSpec, place: Place) -> str:
    """Return twelve hex digits of all that a container cannot be given later."""
    keywords = run_keywords(_anonymous(spec), place)
    del keywords["labels"]
    task, arguments = spec.on_exit or ("", {})
    words = json.dumps([keywords, task, sorted(arguments)], sort_keys=True, default=str)
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def _hand_over(client: docker.DockerClient, spec: base.ContainerSpec) -> None:
    docker_files.hand_over(client, spec.name, spec.inputs, spec.environment)


def _anonymous(spec: base.ContainerSpec) -> base.ContainerSpec:
    return replace(spec, name="", labels={}, environment={}, inputs={})


def _keywords(spec: base.ContainerSpec, place: Place, name: str, digest: str) -> dict[str, Any]:
    waiting = replace(_anonymous(spec), name=name, command=(*spec.command, WAIT_FLAG))
    keywords = run_keywords(waiting, place)
    task, arguments = spec.on_exit or ("", {})
    keywords["labels"] |= {POOL: digest, ON_EXIT: json.dumps([task, sorted(arguments)])}
    return keywords


def _is_derivable(spec: base.ContainerSpec) -> bool:
    """Tell whether the name says what the labels would, and the command is one that can wait."""
    if not spec.own_init:
        return False
    arguments = {} if spec.on_exit is None else spec.on_exit[1]
    return all(value == identity_of(spec.name) for value in arguments.values())


def _start(client: docker.DockerClient, keywords: dict[str, Any] | None, name: str) -> None:
    """Start a spare, made before if there are keywords for it."""
    try:
        if keywords is not None:
            create(client, keywords)
        start(client, name)
    except NotFound:
        # Its network is gone: the next container that is started makes it again.
        return
    except base.ContainerRefused:
        destroy(client, name)
    except APIError as error:
        if code_of(error) != CONFLICT:
            raise


def _take(client: docker.DockerClient, summary: Mapping[str, Any]) -> str | None:
    """Have a spare for oneself; returns its passing name, or None if somebody else has it."""
    name = current_name(summary)
    taken = f"{name}.{summary['Id'][:12]}"
    if name != summary["Labels"].get(CONTAINER):
        return None
    try:
        client.api.rename(name, taken)
    except APIError as error:
        # Gone, or it has that name: the daemon says 400 or 409, older ones 500.
        if code_of(error) >= _SERVER_ERROR and _SAME_NAME not in str(error.explanation):
            raise
        return None
    return taken


def _name(client: docker.DockerClient, taken: str, spec: base.ContainerSpec) -> bool:
    """Give a spare of ours its final name and what belongs to it."""
    try:
        client.api.rename(taken, spec.name)
    except APIError as error:
        if code_of(error) != CONFLICT:
            raise
        # Somebody made the container of that name meanwhile.
        destroy(client, taken)
        return False
    _hand_over(client, spec)
    return True
