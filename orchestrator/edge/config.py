"""What the edge is told: where it listens, what is behind it, what may be reached."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from orchestrator.edge import ports
from orchestrator.edge.addresses import AllowList
from orchestrator.installation import bridge_name, installation_id

OPEN, NONE = "open", "none"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,5}")
#: As the control plane's own default.
_USUAL_WORKERS: Final = "10"
#: Its container, and one in which its work is checked.
_PER_WORKER: Final = 2
_WITH_TLS: Final = {"https", "rediss"}
_SOCKET: Final = "unix:///"


class EdgeMisconfigured(ValueError):
    """A setting is missing or malformed; the message names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """A server of ours behind the edge. Its credentials are no business of the edge."""

    host: str
    port: int
    has_tls: bool = False
    path: str = ""
    """A socket of the file system instead of an address; the name remains for those who ask for one."""

    @classmethod
    def parse(cls, url: str, *, setting: str) -> "Upstream":
        """Read the address out of a URL.

        Raises:
            EdgeMisconfigured: there is none; the message does not show the URL, which may hold a password.
        """
        if url.startswith(_SOCKET) and len(url) > len(_SOCKET):
            return cls(host="localhost", port=80, path=url.removeprefix(_SOCKET.removesuffix("/")))
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise EdgeMisconfigured(f"{setting} is not a URL") from error
        if not parts.hostname or not port:
            raise EdgeMisconfigured(f"{setting} names no server")
        return cls(host=parts.hostname, port=port, has_tls=parts.scheme in _WITH_TLS)

    @property
    def authority(self) -> str:
        """``host:port`` as HTTP writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenPorts:
    """Ports of the three listeners; 0 takes a free one."""

    api: int = ports.API
    channel: int = ports.CHANNEL
    proxy: int = ports.PROXY


@dataclass(frozen=True, kw_only=True)
class EdgeConfig:
    """Everything the edge is told."""

    interface: str
    """Listen on the address of this network interface; it may come, go and change."""
    api: Upstream
    channel: Upstream
    allow: AllowList
    sources: int = 8
    """How many containers may talk to us at once; so many cannot keep one of them out."""
    is_open: bool = True
    """Whether public addresses may be reached at all."""
    address: str = ""
    """Listen here instead of asking the interface."""
    ports: ListenPorts = ListenPorts()
    idle_seconds: float = 900.0
    head_seconds: float = 10.0
    connect_seconds: float = 10.0

    @classmethod
    def from_values(cls, values: Mapping[str, str]) -> "EdgeConfig":
        """Read the settings of the orchestrator that concern the edge.

        Raises:
            EdgeMisconfigured: one is missing or malformed.
        """
        egress = values.get("WORKERS_EGRESS") or OPEN
        if egress not in (OPEN, NONE):
            raise EdgeMisconfigured(f"WORKERS_EGRESS must be {OPEN} or {NONE}, not {egress!r}")
        installation = values.get("WORKERS_INSTALLATION") or installation_id(values.get("SECRET_KEY", ""))
        # What the operator listed, and the package registries that the set-up found on this machine.
        words = (values.get(name, "") for name in ("WORKERS_EGRESS_ALLOW", "WORKERS_REGISTRY_HOSTS"))
        entries = (entry.strip() for word in words for entry in word.split(","))
        try:
            allow = AllowList(entry for entry in entries if entry)
        except ValueError as error:
            raise EdgeMisconfigured(str(error)) from error
        return cls(
            interface=bridge_name(installation),
            api=Upstream.parse(values.get("WORKERS_API_URL", ""), setting="WORKERS_API_URL"),
            channel=Upstream.parse(values.get("CHANNEL_REDIS_URL", ""), setting="CHANNEL_REDIS_URL"),
            allow=allow,
            is_open=egress == OPEN,
            sources=_PER_WORKER * _workers(values.get("WORKERS_MAX_CONCURRENT") or _USUAL_WORKERS),
        )


def _workers(word: str) -> int:
    if _NUMBER.fullmatch(word) is None:
        raise EdgeMisconfigured(f"WORKERS_MAX_CONCURRENT must be a number above 0, not {word[:20]!r}")
    return int(word)
