"""Finding, making and deleting containers of one installation; for use inside ``asking``."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound

from apps.workers.runtime import base
from apps.workers.runtime.docker_client import code_of
from apps.workers.runtime.docker_convert import INSTALLATION, final_name
from apps.workers.runtime.ends import LOST

CONFLICT: Final = 409
_SERVER_ERROR: Final = 500
_KNOWN_ALREADY: Final = ("already exists", "already in use")
_REMOVAL_SECONDS: Final = 20.0
#: How long somebody else's half-made start is given before it is finished for him.
_OTHER_STARTER_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.05


def summaries(
    client: docker.DockerClient, installation: str, *labels: str, status: str | None = None
) -> list[dict[str, Any]]:
    """Return the daemon's short descriptions of our containers with these labels, of whatever status."""
    filters: dict[str, Any] = {"label": [f"{INSTALLATION}={installation}", *labels]}
    if status is not None:
        filters["status"] = status
    found: list[dict[str, Any]] = client.api.containers(all=True, filters=filters)
    return found


def find(
    client: docker.DockerClient, installation: str, name: str, *, foreign_is_refused: bool = False
) -> dict[str, Any] | None:
    """Return the daemon's description of our container of a final name, or None.

    Raises:
        ContainerRefused: a stranger's has that name, and this was asked to matter.

    """
    try:
        found: dict[str, Any] = client.api.inspect_container(name)
    except NotFound:
        return None
    if found["Name"] != f"/{name}":
        # The daemon also finds by the beginning of an id.
        return None
    labels = found["Config"].get("Labels") or {}
    if labels.get(INSTALLATION) == installation and final_name(labels, name) == name:
        return found
    if foreign_is_refused:
        raise base.ContainerRefused(f"A stranger's container is called {name}.", code="container_name_taken")
    return None


def current_name(summary: Mapping[str, Any]) -> str:
    """Return the name that a container has now, from its short description."""
    names = summary["Names"] or [""]
    return str(names[0]).removeprefix("/")


def name_of(summary: Mapping[str, Any]) -> str | None:
    """Return a container's final name from its short description; None: it has not got it (yet)."""
    return final_name(summary["Labels"], current_name(summary))


def create(client: docker.DockerClient, keywords: dict[str, Any]) -> str:
    """Make a container and return its id.

    Raises:
        ImageMissing: its image is not there.

    """
    try:
        return str(client.containers.create(**keywords).id)
    except NotFound as error:
        try:
            client.images.get(keywords["image"])
        except NotFound:
            raise base.ImageMissing(details={"image": keywords["image"]}) from error
        raise


def destroy(client: docker.DockerClient, container_id: str) -> None:
    """Kill and delete; returns when the daemon says that it is gone."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        try:
            client.api.remove_container(container_id, v=True, force=True)
        except NotFound:
            return
        except APIError as error:
            # Somebody else is removing it, or it is just ending.
            if code_of(error) != CONFLICT or time.monotonic() >= deadline:
                raise
            time.sleep(_POLL_SECONDS)


def is_left(look: Callable[[], dict[str, Any] | None]) -> bool:
    """Wait a moment for whoever made a container to start it; tells whether he has not."""
    deadline = time.monotonic() + _OTHER_STARTER_SECONDS
    while (found := look()) and found["State"]["Status"] == "created":
        if time.monotonic() >= deadline:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def start(client: docker.DockerClient, name: str) -> None:
    """Start a container that was made.

    Raises:
        ContainerRefused: the daemon died as it started it before. What runs the containers knows more of it
            than the daemon then, and neither takes it again.

    """
    try:
        client.api.start(name)
    except APIError as error:
        words = str(error.explanation)
        if code_of(error) < _SERVER_ERROR or not any(known in words for known in _KNOWN_ALREADY):
            raise
        raise base.ContainerRefused("The daemon died as it started this container.", code=LOST) from error


def freeze(client: docker.DockerClient, look: Callable[[], dict[str, Any]], *, is_wanted: bool) -> None:
    """Pause a container or let it go on; already so is success.

    Raises:
        ContainerNotRunning: it has ended or was never started.

    """
    found = look()
    if found["State"]["Running"] and found["State"]["Paused"] is is_wanted:
        return
    try:
        (client.api.pause if is_wanted else client.api.unpause)(found["Id"])
    except APIError as error:
        found = look()
        if not found["State"]["Running"]:
            raise base.ContainerNotRunning(details={"name": found["Name"].removeprefix("/")}) from error
        if found["State"]["Paused"] is not is_wanted:
            raise


@contextlib.contextmanager
def already_so(*codes: int) -> Iterator[None]:
    """Take absence, and the given answers of the daemon, for success."""
    try:
        yield
    except NotFound:
        return
    except APIError as error:
        if code_of(error) not in codes:
            raise
