"""The ``docker`` runtime: each container is a hardened container of a Docker daemon.

A container is made under a passing name, filled with its inputs, and only then
renamed: whatever has the final name is complete and needs nothing but a start.
"""

import contextlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound

from apps.workers.runtime import (
    base,
    docker_convert,
    docker_disk,
    docker_exec,
    docker_files,
    docker_leftovers,
    docker_pool,
)
from apps.workers.runtime.docker_client import TIMEOUT_SECONDS, DockerConnection, asking, code_of
from apps.workers.runtime.docker_containers import (
    CONFLICT,
    already_so,
    create,
    destroy,
    find,
    freeze,
    is_left,
    name_of,
    start,
    summaries,
)
from apps.workers.runtime.docker_convert import CONTAINER, POOL, Place
from apps.workers.runtime.docker_network import Bridge

DOCKER_SOCKET: Final = Path("/var/run/docker.sock")


class DockerRuntime:
    """The ``ContainerRuntime`` over a Docker daemon.

    Args:
        installation: whose containers these are; others are never seen nor touched.
        default_image: returns the image of a spec that names none; None: there is none.
        proxy_port: where the gateway offers the way to public addresses; None: there is no such way.
        environment: what every container's environment begins with; never a secret.
        interface: name of the bridge's network interface on this machine; None leaves it to the daemon.
        timeout_seconds: how long the daemon may keep silent in one call.
        address: of the daemon; None takes ``DOCKER_HOST`` or the usual socket.

    """

    def __init__(
        self,
        *,
        installation: str,
        default_image: Callable[[], str | None] = lambda: None,
        proxy_port: int | None = None,
        interface: str | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        address: str | None = None,
    ) -> None:
        self.connection = DockerConnection(timeout_seconds=timeout_seconds, address=address)
        self.installation = installation
        self._default_image = default_image
        self._proxy_port = proxy_port
        self._environment = dict(environment or {})
        self._bridge = Bridge(installation, interface=interface)

    def ping(self) -> None:
        """Return if the daemon answers.

        Raises:
            RuntimeUnavailable: it does not.

        """
        with asking():
            self.connection.client().ping()

    def gateway(self) -> str:
        """Return the address on which the control plane listens for containers, making the network if needed.

        Raises:
            RuntimeUnavailable: nothing is known.
            ContainerRefused: a stranger has a network of our name.

        """
        with asking():
            return self._bridge.gateway(self.connection.client())

    def start(self, spec: base.ContainerSpec) -> None:
        """Create and start a container, or adopt the one of that name."""
        docker_files.require_files(spec.inputs)
        if not spec.command:
            raise base.ContainerRefused("a container needs a command")
        with asking():
            client = self.connection.client()
            found = self._find(client, spec.name, foreign_is_refused=True)
            if found is not None and found["State"]["Status"] != "created":
                docker_pool.complete(client, found, spec)
                return
            if found is None and docker_pool.claim(client, spec, self._surroundings(client, spec)):
                return
            is_mine = self._make(client, spec) if found is None else False
            if is_mine or is_left(lambda: self._find(client, spec.name)):
                self._run(client, spec)

    def inspect(self, name: str) -> base.ContainerState | None:
        """Observe a container."""
        with asking():
            found = self._find(self.connection.client(), name)
        return None if found is None else docker_convert.state_of(found)

    def logs(self, name: str, *, tail_bytes: int) -> str:
        """Return the end of a container's output."""
        with asking():
            client = self.connection.client()
            container_id = self._existing(client, name)["Id"]
            try:
                tail = docker_files.log_tail(client, container_id, max(0, tail_bytes))
            except NotFound as error:
                raise base.ContainerNotFound(details={"name": name}) from error
        return tail.decode(errors="replace")

    def fetch(self, name: str, path: str, *, limit_bytes: int) -> bytes:
        """Return a file from a container's working directory."""
        with asking():
            client = self.connection.client()
            container_id = self._existing(client, name)["Id"]
            return docker_files.fetch(client, container_id, path, limit_bytes=limit_bytes)

    def ask_to_stop(self, name: str) -> None:
        """Send SIGTERM to the container's first process."""
        with asking():
            client = self.connection.client()
            found = self._find(client, name)
            if found is None or not found["State"]["Running"]:
                return
            with already_so(CONFLICT):
                client.api.kill(found["Id"], signal="SIGTERM")
            if found["State"]["Paused"]:
                with already_so(CONFLICT, 500):
                    client.api.unpause(found["Id"])

    def pause(self, name: str) -> None:
        """Freeze a container."""
        self._freeze(name, is_wanted=True)

    def unpause(self, name: str) -> None:
        """Let a frozen container go on."""
        self._freeze(name, is_wanted=False)

    def exec(
        self,
        name: str,
        command: Sequence[str],
        *,
        user: str = base.USER,
        timeout_seconds: float = base.EXEC_SECONDS,
    ) -> base.ExecResult:
        """Run a short command inside a container."""
        with asking():
            client = self.connection.client()
            found = self._existing(client, name)
            return docker_exec.execute(client, found, command, user=user, timeout_seconds=timeout_seconds)

    def remove(self, name: str) -> None:
        """Kill and delete a container, its half-made beginnings and its unnamed volumes."""
        with asking():
            client = self.connection.client()
            for summary in summaries(client, self.installation, f"{CONTAINER}={name}"):
                if POOL not in summary["Labels"]:
                    destroy(client, summary["Id"])
            if found := self._find(client, name):
                destroy(client, found["Id"])

    def keep_spares(self, spec: base.ContainerSpec, *, count: int) -> None:
        """Have so many containers ready for specs that differ in name, labels, environment and inputs only.

        Their command is one that can wait: ``orchestrator-worker``. Spares for anything else are removed.

        Raises:
            RuntimeUnavailable: nothing is known; ask again.
            ImageMissing: the image is not there.

        """
        with asking():
            client = self.connection.client()
            docker_pool.keep(client, spec, self._surroundings(client, spec), count=count)

    def remove_home(self, home: str) -> None:
        """Delete the volume of a home."""
        with asking(), already_so():
            volume = docker_convert.home_volume(self._place(), home)
            self.connection.client().api.remove_volume(volume)

    def remove_leftovers(self, *, min_age_seconds: float) -> list[str]:
        """Delete half-made containers and volumes without a container."""
        with asking():
            client = self.connection.client()
            return docker_leftovers.remove(client, self.installation, min_age_seconds=min_age_seconds)

    def disk_use(self) -> Mapping[str, int]:
        """Return what the running containers' volumes take."""
        with asking():
            return docker_disk.use(self.connection.client(), self.installation)

    def list_owned(self) -> list[base.ContainerState]:
        """Observe every container of this installation that has its final name."""
        with asking():
            client = self.connection.client()
            names = [name for summary in summaries(client, self.installation) if (name := name_of(summary))]
            found = [self._find(client, name) for name in sorted(names)]
        return [docker_convert.state_of(attributes) for attributes in found if attributes is not None]

    def dissolve(self, *, keep_homes: bool = True) -> None:
        """Delete everything of this installation: containers, volumes, the network.

        Raises:
            RuntimeUnavailable: some of it may be left; ask again.

        """
        with asking():
            client = self.connection.client()
            self._bridge.remove(client, clear=lambda: self._destroy_all(client))
            docker_leftovers.remove_volumes(client, self.installation, keep_homes=keep_homes)

    def _destroy_all(self, client: docker.DockerClient) -> None:
        for summary in summaries(client, self.installation):
            destroy(client, summary["Id"])

    def _place(self, gateway: str | None = None, spec: base.ContainerSpec | None = None) -> Place:
        has_proxy = gateway is not None and self._proxy_port is not None
        mounts = () if spec is None else spec.mounts
        return Place(
            installation=self.installation,
            default_image=None if spec is None or spec.image else self._default_image(),
            proxy_url=f"http://{gateway}:{self._proxy_port}" if has_proxy else None,
            no_proxy=f"{gateway},127.0.0.1,localhost" if has_proxy else "",
            environment=self._environment,
            groups=tuple(os.stat(mount.source).st_gid for mount in mounts if mount.source.is_socket()),
        )

    def _surroundings(self, client: docker.DockerClient, spec: base.ContainerSpec) -> Place:
        gateway = None if spec.network is base.Network.NONE else self._bridge.gateway(client)
        return self._place(gateway, spec)

    def _find(
        self, client: docker.DockerClient, name: str, *, foreign_is_refused: bool = False
    ) -> dict[str, Any] | None:
        return find(client, self.installation, name, foreign_is_refused=foreign_is_refused)

    def _existing(self, client: docker.DockerClient, name: str) -> dict[str, Any]:
        found = find(client, self.installation, name)
        if found is None:
            raise base.ContainerNotFound(details={"name": name})
        return found

    def _make(self, client: docker.DockerClient, spec: base.ContainerSpec) -> bool:
        """Make a complete container; tells whether it is ours or somebody was faster."""
        keywords = docker_convert.run_keywords(spec, self._surroundings(client, spec))
        if not keywords["image"]:
            raise base.ImageMissing("The spec names no image and there is no default.")
        keywords["name"] = f"{spec.name}.{uuid.uuid4().hex[:8]}"
        container_id = create(client, keywords)
        try:
            docker_files.put_inputs(client, container_id, spec.inputs)
            client.api.rename(container_id, spec.name)
        except BaseException as error:
            with contextlib.suppress(base.RuntimeUnavailable), asking():
                destroy(client, container_id)
            if isinstance(error, APIError) and code_of(error) == CONFLICT:
                return False
            raise
        return True

    def _run(self, client: docker.DockerClient, spec: base.ContainerSpec) -> None:
        try:
            start(client, spec.name)
        except NotFound as error:
            # Not the container, as a rule, but its network: somebody tidied up.
            self._bridge.forget()
            if spec.network is base.Network.NONE:
                raise base.RuntimeUnavailable("The container is gone; start it again.") from error
            self._bridge.gateway(client)
            start(client, spec.name)

    def _freeze(self, name: str, *, is_wanted: bool) -> None:
        with asking():
            client = self.connection.client()
            freeze(client, lambda: self._existing(client, name), is_wanted=is_wanted)
