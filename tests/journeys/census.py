"""Counts what is there of one system's workers: on its Docker daemon and on its channel."""

from typing import Any, Final

import redis

from tests.journeys.world import World
from tests.own_daemon import OwnDaemon

_WAKEUP: Final = "worker:wakeup"
#: What stands on a daemon: kind → names.
Left = dict[str, list[str]]


def images(daemon: OwnDaemon) -> set[str]:
    """Return the identities of all images of a daemon."""
    client = daemon.client()
    try:
        return {str(image.id) for image in client.images.list(all=True)}
    finally:
        client.close()


def on_daemon(daemon: OwnDaemon, installation: str, *, known_images: set[str]) -> Left:
    """Return every container and network of an installation, and every volume and unknown image there is."""
    label: dict[str, Any] = {"label": [f"codegen.installation={installation}"]}
    client = daemon.client()
    try:
        return {
            "containers": [str(one.name) for one in client.containers.list(all=True, filters=label)],
            "networks": [str(one.name) for one in client.networks.list(filters=label)],
            "volumes": [str(one.name) for one in client.volumes.list()],
            "images": sorted(images(daemon) - known_images),
        }
    finally:
        client.close()


def on_channel(world: World) -> Left:
    """Return the users and streams of workers."""
    channel = redis.Redis.from_url(world.stack.child_env()["CHANNEL_REDIS_URL"], decode_responses=True)
    try:
        return {
            "ACL users": [name for name in channel.acl_users() if name.startswith("worker-")],
            "streams": [key for key in channel.scan_iter("worker:*") if key != _WAKEUP],
        }
    finally:
        channel.close()


def while_running(world: World, daemon: OwnDaemon, *, known_images: set[str]) -> Left:
    """Return what is left of workers that have all ended; the network belongs to the system itself."""
    assert world.stack.runtime is not None
    installation = world.stack.runtime.installation
    found = on_daemon(daemon, installation, known_images=known_images)
    networks = [name for name in found["networks"] if name != f"codegen-{installation}"]
    return {**found, "networks": networks, **on_channel(world)}
