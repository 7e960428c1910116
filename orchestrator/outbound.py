"""Where we may call on a stranger's word: public addresses, and what the operator allows."""

import ipaddress
from collections.abc import Iterable
from typing import Final

import psutil

from orchestrator.edge.addresses import Address, AllowList, RuleMalformed, is_public, unwrapped


class OutboundRules:
    """The rules of the workers' proxy, for webhooks: what is not public must be listed."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """Read the entries of WEBHOOKS_ALLOW: names, domains, addresses and ranges, maybe with a port.

        Raises:
            RuleMalformed: one of them cannot be read.
        """
        try:
            self._allowed: Final = AllowList(entries)
        except RuleMalformed as error:
            words = str(error).replace("WORKERS_EGRESS_ALLOW", "WEBHOOKS_ALLOW")
            raise RuleMalformed(words) from error

    def __call__(self, address: str, *, host: str, port: int, scheme: str) -> str | None:
        """Return why an address must not be asked, None if it may be.

        Without TLS only what is not public, and listed, is asked: anybody on the way could read the rest.

        Args:
            address: what the name resolved to.
            host: the name, in lower case.
            port: the port.
            scheme: http or https.
        """
        at = ipaddress.ip_address(address)
        refusal = self._allowed.refusal(at, host=host, port=port, own=_own_addresses())
        if refusal is None and scheme != "https" and is_public(unwrapped(at)):
            return "public, and must be asked by https"
        return refusal and f"{refusal} (whoever runs this installation can list it in WEBHOOKS_ALLOW)"


def _own_addresses() -> set[Address]:
    found: set[Address] = set()
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            try:
                found.add(ipaddress.ip_address(entry.address.partition("%")[0]))
            except ValueError:
                continue  # a hardware address
    return found
