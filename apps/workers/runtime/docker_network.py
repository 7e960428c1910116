"""The bridge on which the containers of one installation sit, each alone with the gateway."""

import threading
import time
from collections.abc import Callable
from typing import Final

import docker
from docker.errors import APIError, NotFound
from docker.models.networks import Network

from apps.workers.runtime import base
from apps.workers.runtime.docker_client import code_of
from apps.workers.runtime.docker_convert import INSTALLATION, Place

_FORBIDDEN: Final = 403
_CONFLICT: Final = 409
_PASSING: Final = frozenset({_FORBIDDEN, 404, _CONFLICT, 500})
#: How long whatever is still on the network is let go of.
_REMOVAL_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.2
_OPTIONS = {"com.docker.network.bridge.enable_icc": "false"}


class Bridge:
    """An internal bridge without traffic between its containers, made when it is first needed."""

    def __init__(self, installation: str, *, interface: str | None = None) -> None:
        self._place = Place(installation=installation)
        # A name of our choice lets the edge find its address without asking the daemon.
        self._options = _OPTIONS | ({"com.docker.network.bridge.name": interface} if interface else {})
        self._lock = threading.Lock()
        self._gateway: str | None = None

    def gateway(self, client: docker.DockerClient) -> str:
        """Return the one address that containers can reach, on which the control plane listens.

        Raises:
            ContainerRefused: a stranger has a network of our name.

        """
        with self._lock:
            if self._gateway is None:
                self._gateway = _gateway(self._ensure(client))
            return self._gateway

    def forget(self) -> None:
        """Look again at the next call: somebody may have removed it."""
        with self._lock:
            self._gateway = None

    def remove(self, client: docker.DockerClient, *, clear: Callable[[], None]) -> None:
        """Delete it with all that is on it; absent is success.

        Args:
            client: asks the daemon.
            clear: ends every container of ours; it is called again as long as something is on the network.

        """
        self.forget()
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while True:
            clear()
            try:
                for network in self._existing(client):
                    _remove(network)
                return
            except APIError as error:
                # Somebody died while a container of his was started, or the daemon has not yet cleaned up.
                if code_of(error) != _FORBIDDEN or time.monotonic() >= deadline:
                    raise
            for network in self._existing(client):
                _empty(network)
            time.sleep(_POLL_SECONDS)

    def _ensure(self, client: docker.DockerClient) -> Network:
        existing = self._existing(client)
        if not existing:
            self._create(client)
            existing = self._existing(client)
        for network in existing[1:]:
            # Two processes made it at once; nobody uses the younger one yet.
            network.remove()
        if not existing:
            raise base.RuntimeUnavailable("The network was removed while it was made.")
        return existing[0]

    def _create(self, client: docker.DockerClient) -> None:
        try:
            client.networks.create(
                self._place.network,
                driver="bridge",
                internal=True,
                check_duplicate=True,
                options=dict(self._options),
                labels={INSTALLATION: self._place.installation},
            )
        except APIError as error:
            if code_of(error) != _CONFLICT:
                raise

    def _existing(self, client: docker.DockerClient) -> list[Network]:
        """Return the networks of our name, oldest first."""
        named = client.networks.list(names=[f"^{self._place.network}$"])
        for network in named:
            if (network.attrs.get("Labels") or {}).get(INSTALLATION) != self._place.installation:
                raise base.ContainerRefused(
                    f"A stranger's network is called {self._place.network}.", code="network_name_taken"
                )
        return sorted(named, key=lambda network: str(network.attrs["Created"]))


def _remove(network: Network) -> None:
    try:
        network.remove()
    except NotFound:
        return


def _empty(network: Network) -> None:
    """Let go of what is on a network; ending it is another's task."""
    try:
        network.reload()
        for container_id in network.attrs.get("Containers") or {}:
            network.disconnect(container_id, force=True)
    except APIError as error:
        # It went by itself meanwhile, or just came: the next round sees.
        if code_of(error) not in _PASSING:
            raise


def _gateway(network: Network) -> str:
    for pool in network.attrs["IPAM"]["Config"] or []:
        if address := pool.get("Gateway"):
            return str(address).partition("/")[0]
    raise base.RuntimeUnavailable("The network has no gateway.")
