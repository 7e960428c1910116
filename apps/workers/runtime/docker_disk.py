"""How much of the daemon's disk each container's own volumes take; for use inside ``asking``."""

from collections import defaultdict
from typing import Any

import docker

from apps.workers.runtime.docker_containers import summaries


def use(client: docker.DockerClient, installation: str) -> dict[str, int]:
    """Return the bytes that the running containers of an installation keep, by name.

    The daemon looks itself: a container can hide its files from everybody inside it.
    """
    found = summaries(client, installation, status="running")
    if not found:
        return {}
    volumes: list[dict[str, Any]] = client.df().get("Volumes") or []
    sizes = {volume["Name"]: max(0, (volume.get("UsageData") or {}).get("Size") or 0) for volume in volumes}
    result: defaultdict[str, int] = defaultdict(int)
    for summary in found:
        name = summary["Names"][0].removeprefix("/") if summary["Names"] else summary["Id"]
        for mount in summary.get("Mounts") or []:
            result[name] += sizes.get(mount.get("Name"), 0)
    return dict(result)
