"""What a Docker daemon tells of the ends of our containers, live and after the fact."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from apps.workers.runtime.base import RuntimeUnavailable
from apps.workers.runtime.docker_client import DockerConnection, asking
from apps.workers.runtime.docker_containers import name_of, summaries
from apps.workers.runtime.docker_convert import CONTAINER, INSTALLATION, POOL, on_exit_of
from apps.workers.runtime.ends import ContainerEnd, EndKind

#: A stream is made anew after so long: it costs little, and a frozen daemon is noticed.
SILENCE_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 5.0
_LATE_SECONDS: Final = 10.0
_NANO: Final = 1_000_000_000


class DockerEnds:
    """The ``EndSource`` of a Docker daemon, for the containers of one installation.

    Args:
        connection: to the daemon.
        installation: whose containers are listened for.
        silence_seconds: how long one stream lives.

    """

    def __init__(
        self, connection: DockerConnection, installation: str, *, silence_seconds: float = SILENCE_SECONDS
    ) -> None:
        self._connection = connection
        self._installation = installation
        self._silence_seconds = silence_seconds

    def now(self) -> float:
        """Return the moment from which the next stream must tell, in the daemon's seconds."""
        return time.time()

    def past(self) -> list[ContainerEnd]:
        """Return the ends of all containers that are still there.

        Raises:
            RuntimeUnavailable: nothing is known.

        """
        with asking():
            found = summaries(self._connection.client(), self._installation, status="exited")
        return [
            ContainerEnd(
                name=name,
                container_id=summary["Id"],
                kind=EndKind.DIE,
                on_exit=on_exit_of(summary["Labels"], name),
            )
            for summary in found
            if (name := name_of(summary)) is not None
        ]

    def follow(self, since: float) -> Iterator[ContainerEnd]:
        """Yield ends as they happen, from a moment on; ends after a while, to be called again.

        Raises:
            RuntimeUnavailable: the daemon went away.

        """
        params: dict[str, str | int] = {
            "since": f"{since:.3f}",
            "until": int(time.time() + self._silence_seconds),
            "filters": json.dumps(
                {
                    "type": ["container"],
                    "event": [str(kind) for kind in EndKind],
                    "label": [f"{INSTALLATION}={self._installation}"],
                }
            ),
        }
        with asking():
            api = self._connection.client().api
            url = f"{api.base_url}/v{api.api_version}/events"
            # The SDK's own function would wait for a frozen daemon for ever.
            timeout = (_CONNECT_SECONDS, self._silence_seconds + _LATE_SECONDS)
            with api.request("GET", url, params=params, stream=True, timeout=timeout) as answer:
                if not answer.ok:
                    raise RuntimeUnavailable(f"The Docker daemon failed with {answer.status_code}.")
                for line in answer.iter_lines(chunk_size=None):
                    if line and (end := end_of(json.loads(line), self._installation)) is not None:
                        yield end


def end_of(event: Mapping[str, Any], installation: str) -> ContainerEnd | None:
    """Return what a daemon's event says, or None if it is not the end of a container of ours."""
    labels = (event.get("Actor") or {}).get("Attributes") or {}
    if event.get("Type") != "container" or labels.get(INSTALLATION) != installation:
        return None
    if event.get("Action") not in set(EndKind) or CONTAINER not in labels:
        return None
    name = labels.get("name", "") if POOL in labels else labels[CONTAINER]
    return ContainerEnd(
        name=name,
        container_id=str(event["Actor"]["ID"]),
        kind=EndKind(event["Action"]),
        exit_code=int(labels["exitCode"]) if labels.get("exitCode", "").isdigit() else None,
        at=event["timeNano"] / _NANO,
        on_exit=on_exit_of(labels, name),
    )
