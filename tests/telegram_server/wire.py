"""What goes over the wire: parameters of a call, refusals in Telegram's form."""

import json
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl


class Refused(Exception):
    """A call that Telegram answers with ``ok: false``."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status, self.description, self.parameters = status, description, parameters

    def body(self) -> dict[str, Any]:
        body = {"ok": False, "error_code": self.status, "description": self.description}
        return body | ({"parameters": self.parameters} if self.parameters else {})


def bad_request(words: str) -> Refused:
    return Refused(400, f"Bad Request: {words}")


@dataclass(frozen=True)
class Call:
    """One call of a method."""

    method: str
    values: dict[str, Any]
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def number(self, name: str, default: int | None = None) -> int:
        value = self.values.get(name, default)
        try:
            return int(value)  # numbers come as text, too
        except (TypeError, ValueError):
            raise bad_request(f"{name} is empty") from None

    def text(self, name: str, default: str = "") -> str:
        return str(self.values.get(name, default))

    def json(self, name: str) -> Any:
        value = self.values.get(name)
        return json.loads(value) if isinstance(value, str) else value

    @property
    def chat_id(self) -> int | None:
        return self.number("chat_id") if "chat_id" in self.values else None


def read_call(method: str, content_type: str, query: str, body: bytes) -> Call:
    """Read a call as Telegram does: from the query, a form, JSON, or parts with files."""
    values: dict[str, Any] = dict(parse_qsl(query))
    if content_type.startswith("application/json"):
        return Call(method, values | json.loads(body or b"{}"))
    if content_type.startswith("multipart/form-data"):
        return _multipart(method, values, content_type, body)
    return Call(method, values | dict(parse_qsl(body.decode(), keep_blank_values=True)))


def _multipart(method: str, values: dict[str, Any], content_type: str, body: bytes) -> Call:
    files: dict[str, tuple[str, bytes]] = {}
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if (filename := part.get_filename()) is not None:
            files[name] = (filename, content)
        else:
            values[name] = content.decode()
    return Call(method, values, files)
