"""This machine's own addresses, and the one of the workers' bridge."""

import ipaddress
import socket
import time
from collections.abc import Collection
from typing import Final

import psutil

from orchestrator.edge.addresses import Address

_KEPT_SECONDS: Final = 5.0


def address_of(interface: str) -> str:
    """Return the IPv4 address of a network interface; empty while there is no such interface."""
    entries = psutil.net_if_addrs().get(interface, [])
    return next((entry.address for entry in entries if entry.family == socket.AF_INET), "")


class OwnAddresses:
    """The addresses of every interface, asked again every few seconds."""

    def __init__(self) -> None:
        self._known: frozenset[Address] = frozenset()
        self._asked_at = 0.0

    def __call__(self) -> Collection[Address]:
        """Return them."""
        if not self._known or time.monotonic() - self._asked_at > _KEPT_SECONDS:
            self._known = frozenset(
                ipaddress.ip_address(entry.address.partition("%")[0])
                for entries in psutil.net_if_addrs().values()
                for entry in entries
                if entry.family in (socket.AF_INET, socket.AF_INET6)
            )
            self._asked_at = time.monotonic()
        return self._known
