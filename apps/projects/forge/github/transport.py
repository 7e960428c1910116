"""One HTTP request to GitHub's API through PyGithub, and its answer as it came."""

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final
from urllib.parse import quote

import requests
from github.Auth import Auth
from github.Requester import Requester

from apps.projects.forge.base import ForgeUnavailable

TIMEOUT_SECONDS: Final = 20
PAGE_SIZE: Final = 100
_API_VERSION: Final = "2022-11-28"
_USER_AGENT: Final = "codegen-orchestrator"
_NEXT_PAGE: Final = 'rel="next"'


@dataclass(frozen=True, slots=True)
class Request:
    """What the host is asked."""

    method: str  # GET, POST, PUT, PATCH or DELETE
    path: str  # below the API's address, or the address of a next page
    _: KW_ONLY
    authorization: str | None = field(default=None, repr=False)  # None asks as nobody
    parameters: Mapping[str, str] = field(default_factory=dict)  # of the query
    headers: Mapping[str, str] = field(default_factory=dict)  # further ones
    body: Mapping[str, Any] | None = field(default=None, repr=False)  # goes as JSON


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the host answered, whatever its status."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    data: Any = field(repr=False)  # of the JSON body; None when there is none

    @property
    def next_page(self) -> str | None:
        """Return the address of the next page of a listing, or None on the last."""
        for part in self.headers.get("link", "").split(","):
            address, _, relation = part.partition(";")
            if _NEXT_PAGE in relation:
                return address.strip().removeprefix("<").removesuffix(">")
        return None

    @property
    def mapping(self) -> Mapping[str, Any]:
        """Return the body as an object.

        Raises:
            ForgeUnavailable: it is something else; a proxy may have answered.

        """
        if not isinstance(self.data, dict):
            raise ForgeUnavailable("The git host answers something else than an object")
        return self.data


class _GivenByCaller(Auth):
    """Leaves the Authorization header to the caller of each request, and hides it from logs."""

    @property
    def token_type(self) -> str:
        """Return nothing: see `authentication`."""
        return ""

    @property
    def token(self) -> str:
        """Return nothing: see `authentication`."""
        return ""

    def authentication(self, headers: dict[str, str]) -> None:
        """Leave the headers as the caller made them."""

    def mask_authentication(self, headers: dict[str, str]) -> None:
        """Hide the caller's credential."""
        headers["Authorization"] = "(removed)"


class Transport:
    """Connections to one host: one per thread and process, for PyGithub's are not shared safely."""

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url.rstrip("/")
        self._local = threading.local()

    def send(self, request: Request) -> Answer:
        """Ask the host once.

        Raises:
            ForgeUnavailable: there was no answer, or none that can be read.

        """
        headers = {"Accept": "application/vnd.github+json", **request.headers}
        if request.authorization is not None:
            headers["Authorization"] = request.authorization
        body = None if request.body is None else dict(request.body)
        with _network_errors():
            status, received, text = self._requester().requestJson(
                request.method, request.path, dict(request.parameters), headers, body
            )
        return Answer(status=status, headers=received, data=_parsed(status, text))

    def _requester(self) -> Requester:
        known = getattr(self._local, "requester", None)
        if known is None or self._local.pid != os.getpid():
            # At debug level PyGithub would log bodies, and those of token requests hold tokens.
            Requester.injectLogger(_silent_logger())
            known = Requester(
                auth=_GivenByCaller(),
                base_url=self._api_url,
                timeout=TIMEOUT_SECONDS,
                user_agent=_USER_AGENT,
                per_page=PAGE_SIZE,
                verify=True,
                retry=0,
                pool_size=1,
                api_version=_API_VERSION,
            )
            self._local.requester, self._local.pid = known, os.getpid()
        return known


def segment(text: str) -> str:
    """Return a word as one segment of a path."""
    return quote(text, safe="")


@contextmanager
def _network_errors() -> Iterator[None]:
    try:
        yield
    except requests.RequestException as error:
        # The words of the library may hold addresses with queries; its kind says enough.
        raise ForgeUnavailable(f"The git host does not answer ({type(error).__name__})") from error
    except RuntimeError as error:
        raise ForgeUnavailable(
            f"The git host redirects elsewhere; correct GITHUB_API_BASE_URL ({error})"
        ) from error


def _parsed(status: int, text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        if status >= 400:  # the status says it all; a proxy's page is not repeated
            return None
        raise ForgeUnavailable("The git host's answer is not JSON") from error


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("github.Requester")
    logger.setLevel(logging.WARNING)
    return logger
