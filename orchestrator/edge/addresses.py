"""Which addresses may be reached: public ones, and what the operator allowed. Pure."""

import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NetworkRange = ipaddress.IPv4Network | ipaddress.IPv6Network

HOST_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
_WITH_PORT: Final = re.compile(r"(?P<host>\[[^\]]+\]|[^:]+)(:(?P<port>[0-9]{1,5}))?")
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class RuleMalformed(ValueError):
    """An entry of WORKERS_EGRESS_ALLOW is neither a host, a domain, an address nor a range."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One entry of the allow list: a name, a domain (``.example``) or a range, maybe for one port only."""

    name: str = ""
    network: NetworkRange | None = None
    port: int | None = None

    @classmethod
    def parse(cls, entry: str) -> "Rule":
        """Read ``HOST``, ``.DOMAIN``, ``ADDRESS`` or ``CIDR``; all but a range may end with ``:PORT``.

        Raises:
            RuleMalformed: it is none of them.
        """
        word = entry.strip().lower()
        if (network := _network(word)) is not None:
            return cls(network=network)
        match = _WITH_PORT.fullmatch(word)
        if match is None or not 0 < int(match["port"] or 1) < 65_536:
            raise RuleMalformed(f"WORKERS_EGRESS_ALLOW: {entry!r} is not HOST[:PORT], .DOMAIN[:PORT] or CIDR")
        port = int(match["port"]) if match["port"] else None
        host = match["host"].strip("[]").removeprefix("*")
        if (network := _network(host)) is not None:
            return cls(network=network, port=port)
        if HOST_NAME.fullmatch(host.removeprefix(".")) is None:
            raise RuleMalformed(f"WORKERS_EGRESS_ALLOW: {entry!r} is not a host, a domain or a range")
        return cls(name=host.rstrip("."), port=port)

    def matches_name(self, host: str, port: int) -> bool:
        """Tell whether a name, in lower case and without a final dot, is meant."""
        if not self.name or self.port not in (None, port):
            return False
        return host.endswith(self.name) if self.name.startswith(".") else host == self.name

    def matches_address(self, address: Address, port: int) -> bool:
        """Tell whether an address is meant."""
        if self.network is None or self.port not in (None, port):
            return False
        return address.version == self.network.version and address in self.network


def _network(word: str) -> NetworkRange | None:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        return None


class AllowList:
    """What the operator lets workers reach although it is not public."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """Read the entries of WORKERS_EGRESS_ALLOW.

        Raises:
            RuleMalformed: one of them cannot be read.
        """
        self._rules = tuple(Rule.parse(entry) for entry in entries)

    def refusal(self, address: Address, *, host: str, port: int, own: Collection[Address] = ()) -> str | None:
        """Return why an address must not be reached, None if it may be.

        A name opens private addresses, never this machine's own or link-local ones (where clouds keep their
        metadata): those must be listed as addresses, so that who controls a listed name's DNS gains nothing.

        Args:
            address: what the name resolved to.
            host: the name as it was asked for, in lower case.
            port: the port.
            own: addresses of this machine.
        """
        if any(rule.matches_address(address, port) for rule in self._rules):
            return None
        real = unwrapped(address)
        if real in own or address in own or real.is_loopback or real.is_unspecified:
            return "an address of this machine"
        if real.is_link_local or real.is_multicast:
            return "a link-local or multicast address"
        if is_public(real) or any(rule.matches_name(host, port) for rule in self._rules):
            return None
        return "not a public address"


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the Internet."""
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if address.version == 4:
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address
