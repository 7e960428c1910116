"""What of this machine the workers' containers reach besides the edge, and the rule that ends it.

A container's packets to its gateway are this machine's own input, which Docker does not filter: whatever
listens on every address is there for a worker, too. Such rules are the operator's, so this only tells.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psutil

from orchestrator.edge import ports
from orchestrator.edge.gateway import address_of

_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})
_OURS: Final = (ports.API, ports.CHANNEL, ports.PROXY)
_SECONDS: Final = 10.0


@dataclass(frozen=True, order=True, slots=True)
class OpenPort:
    """A port of this machine on which a worker is answered."""

    port: int
    program: str = ""
    """Who listens; empty if it is not ours to know."""

    def __str__(self) -> str:
        return f"{self.port} ({self.program})" if self.program else str(self.port)


def open_ports(interface: str) -> list[OpenPort]:
    """Return what listens (TCP) where containers on a bridge get to, our own edge excepted.

    Args:
        interface: of the bridge; it need not exist yet.
    """
    gateway = address_of(interface)
    return sorted(set(_listening(gateway)))


def is_closed(interface: str) -> bool:
    """Tell whether a rule of ``closing_rules`` keeps containers from this machine."""
    if os.geteuid() != 0 or shutil.which("iptables") is None:
        return False
    argv = ["iptables", "--wait", "-C", *_rejecting(interface)]
    return subprocess.run(argv, capture_output=True, timeout=_SECONDS).returncode == 0


def closing_rules(interface: str) -> str:
    """Return the command that closes everything but the edge: the exception ends up before the rule."""
    numbers = ",".join(map(str, _OURS))
    exception = f"INPUT -i {interface} -p tcp -m multiport --dports {numbers} -j ACCEPT"
    return f"iptables -I {' '.join(_rejecting(interface))} && iptables -I {exception}"


def _rejecting(interface: str) -> tuple[str, ...]:
    return ("INPUT", "-i", interface, "-j", "REJECT")


def _listening(gateway: str) -> Iterator[OpenPort]:
    for found in psutil.net_connections(kind="tcp"):
        if found.status != psutil.CONN_LISTEN or not found.laddr:
            continue
        address, port = found.laddr.ip, found.laddr.port
        is_edge = port in _OURS and address == gateway
        if (address in _EVERYWHERE or address == gateway) and not is_edge:
            yield OpenPort(port, _program(found.pid))


def _program(pid: int | None) -> str:
    try:
        return psutil.Process(pid).name() if pid else ""
    except psutil.Error:
        return ""
