"""Time4VPS over its user API.

Documented at https://billing.time4vps.com/userapi (Server Management) and, for
programs, at https://billing.time4vps.com/?action=swagger&cmd=userapi. What is not
documented there and had to be guessed says so: how it words a refusal for too
many requests, that the listing is an array, and where a task's result has the password.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import httpx

from apps.infra.providers.base import (
    ListedServer,
    Malformed,
    NotAllowed,
    ProviderAway,
    ProviderTask,
    ServerDetails,
    Throttled,
)
from apps.infra.providers.time4vps_wire import (
    Details,
    Listed,
    System,
    Task,
    TaskNumber,
    error_of,
    is_reinstallation,
    parse,
    parse_list,
    password_in,
    read,
    retry_after_of,
    task_of,
)

DEFAULT_URL: Final = "https://billing.time4vps.com/api"
_SECONDS: Final = 20.0
_MAX_BYTES: Final = 4_000_000
#: What a client sees of a server that it cannot reach, or of one in trouble.
_BROKEN: Final = range(500, 600)
_ID: Final = re.compile(r"[0-9]{1,18}")


class Time4Vps:
    """The account of one customer."""

    name = "time4vps"

    def __init__(self, *, username: str, password: str, url: str = DEFAULT_URL) -> None:
        """Prepare.

        Args:
            username: of the client area.
            password: likewise.
            url: of the API, without a slash at its end.

        """
        self._url = url.rstrip("/")
        self._auth = httpx.BasicAuth(username, password)

    def list_servers(self) -> Sequence[ListedServer]:
        """See ``Provider``."""
        listed = parse_list(Listed, self._ask("GET", "/server"))
        return [
            ListedServer(provider_id=str(one.server_id), name=one.label or one.domain, address=one.ip)
            for one in listed
        ]

    def get_details(self, provider_id: str) -> ServerDetails:
        """See ``Provider``."""
        found = parse(Details, self._ask("GET", f"/server/{_known(provider_id)}"))
        name, number = task_of(found.active_task)
        return ServerDetails(
            provider_id=provider_id,
            address=found.ip,
            system=found.os,
            cpus=found.cpu_cores,
            memory_mb=found.ram_limit,
            disk_mb=found.disk_limit,
            is_active=found.status.lower() == "active",
            is_busy=bool(found.active_task),
            is_reinstalling=is_reinstallation(name),
            task=number,
        )

    def list_systems(self, provider_id: str) -> Sequence[str]:
        """See ``Provider``."""
        found = parse_list(System, self._ask("GET", f"/server/{_known(provider_id)}/oses"))
        return [one.os for one in found]

    def reset_password(self, provider_id: str) -> str:
        """See ``Provider``."""
        answer = self._ask("POST", f"/server/{_known(provider_id)}/resetpassword")
        return str(parse(TaskNumber, answer).task_id)

    def reinstall(self, provider_id: str, *, system: str, public_key: str) -> str:
        """See ``Provider``."""
        wanted = {"os": system, **({"ssh_key": public_key} if public_key else {})}
        answer = self._ask("POST", f"/server/{_known(provider_id)}/reinstall", wanted)
        return str(parse(TaskNumber, answer).task_id)

    def get_task(self, provider_id: str, task: str) -> ProviderTask:
        """See ``Provider``."""
        found = parse(Task, self._ask("GET", f"/server/{_known(provider_id)}/task/{_known(task)}"))
        password = password_in(found.results) if found.completed else ""
        return ProviderTask(name=found.name, is_done=bool(found.completed), password=password)

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        try:
            with (
                httpx.Client(timeout=_SECONDS, follow_redirects=False) as client,
                client.stream(method, f"{self._url}{path}", auth=self._auth, json=body) as answer,
            ):
                content = _content_of(answer)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Its words may quote the address; the kind of it says enough.
            raise ProviderAway(f"Time4VPS does not answer ({type(error).__name__}).") from error
        return _judge(answer, content)


def _content_of(answer: httpx.Response) -> bytes:
    content = b""
    for part in answer.iter_bytes():
        content += part
        if len(content) > _MAX_BYTES:
            raise Malformed("The answer of Time4VPS is too long.")
    return content


def _judge(answer: httpx.Response, content: bytes) -> Any:
    """Return what a provider's answer says, or raise what it means."""
    status, text = answer.status_code, content.decode(errors="replace")
    seconds = retry_after_of(status, answer.headers.get("Retry-After", ""), text)
    if seconds is not None:
        raise Throttled(retry_after=seconds)
    if status in _BROKEN:
        raise ProviderAway(f"Time4VPS answered {status}.")
    error = error_of(text)
    if status in (401, 403) or error == "wronglogin":
        raise NotAllowed("Time4VPS refuses the username and password.", code="provider_login_refused")
    if error or status >= 400:
        raise NotAllowed(f"Time4VPS refused: {error or status}.", details={"status": status})
    if status != httpx.codes.OK:
        raise Malformed(f"Time4VPS answered {status}.")
    return read(text)


def _known(number: str) -> str:
    """Return a number that may become part of an address."""
    if not _ID.fullmatch(number):
        raise NotAllowed("Servers and tasks of Time4VPS have numbers.")
    return number
