"""What crashed calls leave behind: half-made containers, volumes whose container is gone."""

from datetime import UTC, datetime
from typing import Any

import docker
from docker.errors import APIError, NotFound

from apps.workers.runtime.docker_client import code_of
from apps.workers.runtime.docker_containers import CONFLICT, summaries
from apps.workers.runtime.docker_convert import CONTAINER, HOME, INSTALLATION


def remove(client: docker.DockerClient, installation: str, *, min_age_seconds: float) -> list[str]:
    """Delete what is older than so many seconds; return the names."""
    now = datetime.now(UTC)
    gone = []
    for summary in _unfinished(client, installation):
        if (now.timestamp() - summary["Created"]) >= min_age_seconds and _is_removed(client, summary["Id"]):
            gone.append(summary["Names"][0].removeprefix("/") if summary["Names"] else summary["Id"])
    for volume in _volumes(client, installation, is_dangling=True):
        created = datetime.fromisoformat(volume["CreatedAt"])
        is_old = (now - created).total_seconds() >= min_age_seconds
        if is_old and not _is_home(volume) and _is_volume_removed(client, volume["Name"]):
            gone.append(volume["Name"])
    return gone


def remove_volumes(client: docker.DockerClient, installation: str, *, keep_homes: bool) -> None:
    """Delete the volumes of an installation."""
    for volume in _volumes(client, installation, is_dangling=None):
        if not (keep_homes and _is_home(volume)):
            _is_volume_removed(client, volume["Name"])


def _unfinished(client: docker.DockerClient, installation: str) -> list[dict[str, Any]]:
    """Return the containers that were never started; whoever wants one makes it anew."""
    return summaries(client, installation, CONTAINER, status="created")


def _volumes(
    client: docker.DockerClient, installation: str, *, is_dangling: bool | None
) -> list[dict[str, Any]]:
    filters: dict[str, Any] = {"label": [f"{INSTALLATION}={installation}"]}
    if is_dangling is not None:
        filters["dangling"] = [str(is_dangling).lower()]
    found: list[dict[str, Any]] | None = client.api.volumes(filters=filters)["Volumes"]
    return found or []


def _is_home(volume: dict[str, Any]) -> bool:
    return HOME in (volume.get("Labels") or {})


def _is_removed(client: docker.DockerClient, container_id: str) -> bool:
    try:
        # Without force: one that was started meanwhile is refused.
        client.api.remove_container(container_id, v=True)
    except NotFound:
        return False
    except APIError as error:
        if code_of(error) != CONFLICT:
            raise
        return False
    return True


def _is_volume_removed(client: docker.DockerClient, name: str) -> bool:
    try:
        client.api.remove_volume(name)
    except NotFound:
        return False
    except APIError as error:
        if code_of(error) != CONFLICT:
            raise
        return False
    return True
