"""A double of Time4VPS's user API: real HTTP, payloads of the documented shape, and faults.

::

    with ProviderServer() as provider:
        server = provider.add_server(address="203.0.113.7")
        client = provider.client()
        provider.faults.append(throttling(seconds=7))

Payloads are those of https://billing.time4vps.com/?action=swagger&cmd=userapi ("Server Management", read
in version 4.20220303). Guesses: the listing is an array; the words and the status of throttling; the words
of a task's result; whether the task under way, which "Server Details" shows without a number, may have one.
How errors are wrapped is what the provider's own client reads:
https://github.com/time4vps/time4vps-lib (src/Time4VPS/Base/Endpoint.php).
"""

from tests.provider_server.faults import Fault, broken, malformed, outage, silence, throttling
from tests.provider_server.server import PASSWORD, USERNAME, HeldServer, ProviderServer

__all__ = [
    "PASSWORD",
    "USERNAME",
    "Fault",
    "HeldServer",
    "ProviderServer",
    "broken",
    "malformed",
    "outage",
    "silence",
    "throttling",
]
