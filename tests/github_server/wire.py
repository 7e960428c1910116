"""Requests, answers and refusals in GitHub's wire format."""

import hashlib
import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


class Refusal(Exception):
    """An answer that says no."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Sequence[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.errors, self.headers = status, message, errors, dict(headers or {})

    def answer(self) -> "Answer":
        body: dict[str, Any] = {"message": self.message}
        if self.errors is not None:
            body["errors"] = list(self.errors)
        body |= {"documentation_url": DOCUMENTATION, "status": str(self.status)}
        return Answer(self.status, body, headers=self.headers)


def not_found() -> Refusal:
    return Refusal(404, "Not Found")


def invalid(resource: str, field_name: str, code: str = "invalid", message: str = "") -> Refusal:
    """A 422 of one field, as most of the API shapes it."""
    error = {"resource": resource, "field": field_name, "code": code}
    if message:
        error |= {"code": "custom", "message": message}
    return Refusal(422, "Validation Failed", errors=[error])


def forbidden(accepted: str) -> Refusal:
    """What a token hears that lacks a permission."""
    headers = {"X-Accepted-GitHub-Permissions": accepted}
    return Refusal(403, "Resource not accessible by integration", headers=headers)


@dataclass
class Answer:
    """What goes back: JSON, or bytes in parts."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: Iterable[bytes] | None = None

    def payload(self) -> bytes:
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass
class Request:
    """One call as it came in."""

    method: str
    path: str  # without the prefix /api/v3
    query: dict[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    base_url: str  # of this server, without a path
    params: dict[str, str] = field(default_factory=dict)
    token: Any = None
    repository: Any = None

    def json(self) -> dict[str, Any]:
        """Return the body as an object.

        Raises:
            Refusal: it is none.

        """
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise Refusal(400, "Problems parsing JSON") from None
        if not isinstance(value, dict):
            raise Refusal(400, "Body should be a JSON object")
        return value

    def fields(self, resource: str, **kinds: type | tuple[type, ...]) -> dict[str, Any]:
        """Return the body's fields; required ones are named with their types, others pass as they are."""
        body = self.json()
        for name, kind in kinds.items():
            if body.get(name) is None:
                raise invalid(resource, name, "missing_field")
            if not isinstance(body[name], kind):
                raise Refusal(
                    422, f"Invalid request.\n\nFor '/{name}', {body[name]!r} is not of the right type."
                )
        return body

    def number(self, name: str) -> int:
        """Return a number of the path; something else names nothing."""
        if not self.params[name].isdigit():
            raise not_found()
        return int(self.params[name])

    @property
    def url(self) -> str:
        """The address of the whole API here."""
        return f"{self.base_url}/api/v3"


def page(request: Request, items: Sequence[Any], key: str | None = None) -> Answer:
    """Answer with one page of a list and the Link header that leads through the others."""
    size = _bounded(request.query.get("per_page"), default=30, maximum=100)
    number = _bounded(request.query.get("page"), default=1, maximum=10**6)
    last = max(1, -(-len(items) // size))
    part = list(items[(number - 1) * size : number * size])
    links = []
    for relation, target in (("prev", number - 1), ("next", number + 1), ("last", last), ("first", 1)):
        is_useful = target < number if relation in ("prev", "first") else target > number
        if is_useful and 1 <= target <= last:
            links.append(f'<{_page_url(request, target, size)}>; rel="{relation}"')
    body = part if key is None else {"total_count": len(items), key: part}
    return Answer(200, body, headers={"Link": ", ".join(links)} if links else {})


def _page_url(request: Request, number: int, size: int) -> str:
    query = {**request.query, "per_page": str(size), "page": str(number)}
    return f"{request.url}{request.path}?{urllib.parse.urlencode(query)}"


def _bounded(value: str | None, *, default: int, maximum: int) -> int:
    return min(int(value), maximum) if value and value.isdigit() and int(value) > 0 else default


def etag_of(payload: bytes) -> str:
    return f'W/"{hashlib.sha256(payload).hexdigest()}"'


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parts(content: bytes, size: int = 65_536) -> Iterator[bytes]:
    yield from (content[start : start + size] for start in range(0, len(content), size))
