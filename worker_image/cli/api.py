"""Calls to the REST API: retried when that is safe, answered as data or as one kind of error."""

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from worker_image.cli.credentials import Credentials

_TRIES = 3
_PAUSE_SECONDS = 0.5
_TIMEOUT_SECONDS = 30.0
_NOT_SIGNED_IN = ("not_authenticated", "authentication_failed")


@dataclass(slots=True)
class ApiError(Exception):
    """The API said no, or could not be asked."""

    kind: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


class Api:
    """The REST API as one person or one worker sees it.

    Args:
        credentials: where it is and who asks.
        language: in which language texts should come.

    Raises:
        ApiError: the address is none.
    """

    def __init__(self, credentials: Credentials, *, language: str = "en") -> None:
        headers = {"Accept-Language": language}
        if credentials.token:
            headers["Authorization"] = f"{credentials.scheme} {credentials.token}"
        self.credentials = credentials
        # No proxy from the environment: the API is ours and the token must not travel elsewhere.
        try:
            self._client = httpx.Client(
                base_url=credentials.url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False
            )
        except httpx.InvalidURL as error:
            raise ApiError("invalid", f"{credentials.url!r} is not an address ({error}).") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def speak(self, language: str) -> None:
        """Ask for texts in a language from now on."""
        self._client.headers["Accept-Language"] = language

    def get(self, path: str, **query: Any) -> Any:
        """Read one thing.

        Raises:
            ApiError: see ``kind``; ``unavailable`` after three tries.
        """
        return self._call(
            "GET", path, params={name: value for name, value in query.items() if value is not None}
        )

    def download(self, path: str) -> bytes:
        """Read a file.

        Raises:
            ApiError: see ``kind``; ``unavailable`` after three tries.
        """
        return self._answer("GET", path).content

    def list(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Read every page of a list.

        Raises:
            ApiError: see ``kind``.
        """
        page = self.get(path, **query)
        while True:
            yield from page["results"]
            if not page.get("next"):
                return
            # Only the position is taken: the token goes nowhere but to the place it is for.
            page = self._call("GET", path, params=dict(parse_qsl(urlsplit(page["next"]).query)))

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, create: bool = False) -> Any:
        """Ask for a change.

        Args:
            path: below ``/api/``.
            body: JSON object.
            create: sends an ``Idempotency-Key``, so that a try whose answer was
                lost is not carried out twice.

        Raises:
            ApiError: see ``kind``.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4())} if create else {}
        return self._call("POST", path, json=dict(body or {}), headers=headers)

    def delete(self, path: str) -> None:
        """Ask that something is no more.

        Raises:
            ApiError: see ``kind``.
        """
        self._answer("DELETE", path)

    def _call(self, method: str, path: str, **request: Any) -> Any:
        response = self._answer(method, path, **request)
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise ApiError("error", f"What answers at {response.url.host} is not the API.") from error

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        error = ApiError("unavailable", f"{self.credentials.url} does not answer.")
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE_SECONDS * 2**attempt)
            try:
                response = self._client.request(method, path, **request)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as failure:
                raise ApiError("invalid", f"{self.credentials.url!r} is not an address.") from failure
            except httpx.HTTPError as failure:
                error = ApiError(
                    "unavailable",
                    f"{self.credentials.url} does not answer ({type(failure).__name__}); try `make up`.",
                )
                continue
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                if not response.is_success:
                    raise self._advised(_error_of(response))
                return response
            error = _error_of(response)
        raise error

    def _advised(self, error: ApiError) -> ApiError:
        # A worker can do nothing about its token.
        if error.kind in _NOT_SIGNED_IN and not self.credentials.is_worker:
            error.message += " Run `orchestrator login`."
        return error


def _error_of(response: httpx.Response) -> ApiError:
    unavailable = response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {}
    if not {"error", "message"} <= body.keys():
        kind = "unavailable" if unavailable else "error"
        return ApiError(kind, f"The API answered {response.status_code}.", body)
    kind, message, details = body["error"], body["message"], body.get("details", {})
    if response.status_code == httpx.codes.FORBIDDEN:
        kind = "permission_denied"
    return ApiError("unavailable" if unavailable else kind, message, details)
