"""The search finds a value in whatever form, and nothing where there is nothing."""

import base64
import html
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.canaries.finder import Finding, Haystack
from tests.canaries.values import Canary, draw_canaries

pytestmark = pytest.mark.unit

CANARIES = draw_canaries(bot_token="1234567890:AA" + "b7Q" * 11)
DISGUISES: dict[str, Callable[[str], str | bytes]] = {
    "as it is": lambda value: f"before {value} after",
    "base64": lambda value: base64.b64encode(value.encode()),
    "base64, one byte before it": lambda value: base64.b64encode(b"x" + value.encode() + b"y"),
    "base64, two bytes before it": lambda value: base64.b64encode(b"xx" + value.encode() + b"yy"),
    "base64 for addresses": lambda value: base64.urlsafe_b64encode(value.encode()).rstrip(b"="),
    "base64 in lines": lambda value: base64.encodebytes(value.encode()),
    "base64 of JSON": lambda value: base64.b64encode(json.dumps([{"value": value}]).encode()),
    "hexadecimal": lambda value: value.encode().hex(),
    "bytea": lambda value: "\\\\x" + json.dumps({"value": value}).encode().hex(),
    "JSON": lambda value: json.dumps({"value": value}),
    "JSON in JSON": lambda value: json.dumps({"log": json.dumps({"value": value})}),
    "an address": lambda value: f"/path?{urlencode({'value': value})}",
    "a path": lambda value: quote(value, safe=""),
    "HTML": lambda value: f"<p>{html.escape(value)}</p>",
    "Python": lambda value: repr({"value": value}),
    **{
        f"lines of {width}": lambda value, width=width: "\n".join(
            value[at : at + width] for at in range(0, len(value), width)
        )
        for width in (4, 7, 13, 20)
    },
    "quoted lines": lambda value: json.dumps(
        [value[at : at + 6] for at in range(0, len(value), 6)], indent=2
    ),
    "indented": lambda value: textwrap.indent(value, "    "),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_every_value_is_found_in_every_form(tmp_path: Path, disguise: str) -> None:
    haystack = Haystack(tmp_path / "haystack", CANARIES.values())
    for canary in CANARIES.values():
        shown = DISGUISES[disguise](canary.value)
        haystack.add(canary.name, b"words " + (shown if isinstance(shown, bytes) else shown.encode()))

    found = haystack.findings()

    assert found == {Finding(name, name) for name in CANARIES}


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    haystack = Haystack(tmp_path / "haystack", CANARIES.values())
    strangers = draw_canaries(bot_token="1987654321:AA" + "c8R" * 11)
    haystack.add("log", "\n".join(one.value for one in strangers.values()).encode())
    haystack.add("log", b"-----BEGIN PRIVATE KEY-----\nuser:password@db.example.com:5432/app?sslmode=require")

    assert haystack.findings() == set()


def test_files_are_searched_where_they_are(tmp_path: Path) -> None:
    haystack = Haystack(tmp_path / "haystack", [Canary("KEY", "a-value-that-is-secret")])
    (tmp_path / "files" / "cache").mkdir(parents=True)
    (tmp_path / "files" / "cache" / "known").write_text("a-value-that-is-secret")

    assert haystack.raw(tmp_path / "files") == {"KEY"}
    assert haystack.raw(tmp_path / "files", without=["cache"]) == set()


def test_finding_does_not_tell_the_value() -> None:
    assert "b7Q" not in repr(CANARIES["BOT_TOKEN"])
