"""The manifest is parsed strictly, and an error names its field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.projects.manifest import ManifestInvalid, parse_manifest

pytestmark = pytest.mark.unit

GOOD = """\
version: 1
modules: [backend]
commands: {setup: make setup, check: make check, tests: make tests-list}
services:
  - name: backend
    run: make run
    port: web
    health: /health
    data: data
protected: [project.yaml, Makefile, ".github/**"]
"""
TWIN = "{name: a, run: b, port: web, health: /}"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("version: 1", "version: 2", "version"),
        ("version: 1", "version: '1'", "version"),
        ("version: 1", "version: 1\nextra: 1", "extra"),
        ("[backend]", "[]", "modules"),
        ("[backend]", "[backend, backend]", "modules"),
        ("[backend]", "[Backend!]", "modules.0"),
        ("check: make check", "check: 5", "commands.check"),
        ("check: make check", "check: ''", "commands.check"),
        ("check: make check", 'check: "a\\nb"', "commands.check"),
        ("check: make check, ", "", "commands.check"),
        ("health: /health", "health: health", "services.0.health"),
        ("health: /health", "health: '/a?b=c d'", "services.0.health"),
        ("data: data", "data: ../data", "services.0.data"),
        ("data: data", "data: /data", "services.0.data"),
        ("Makefile,", "/Makefile,", "protected.1"),
        ("name: backend", "name: backend\n    name: backend", "project.yaml"),
        ("  - name", f"  - {TWIN}\n  - {TWIN}\n  - name", "services"),
    ],
)  # fmt: skip
def test_wrong_field_is_named(old: str, new: str, field: str) -> None:
    assert old in GOOD

    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(GOOD.replace(old, new, 1).encode())

    assert refused.value.details["field"] == field


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"- a\n",
        b"{",
        b"\xff\xfe\xff",
        b"a: &a [1]\nb: *a\n",
        b"a: " + b"[" * 5_000,
        b"a: !!python/object/apply:os.system [ls]\n",
        b"version: 1\n---\nversion: 1\n",
        b"1: 2\n",
        b"? [a]\n: b\n",
        b"a: 2020-99-99\n",
        b"a: " + b"9" * 6_000,
    ],
)
def test_what_is_not_plain_yaml_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(content)

    assert refused.value.details["field"]


def test_error_does_not_show_the_value() -> None:
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(GOOD.replace("version: 1", "version: sesame").encode())

    assert "sesame" not in refused.value.message
    assert "sesame" not in str(refused.value.details)


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(text.encode("utf-8", "surrogatepass"))

    assert refused.value.error_code == "manifest_invalid"


def test_a_service_may_list_the_variables_only_a_person_can_give() -> None:
    text = GOOD.replace("    data: data\n", "    data: data\n    secrets: [BOT_TOKEN]\n")

    found = parse_manifest(text.encode())

    assert found.services[0].secrets == ("BOT_TOKEN",)


def test_a_secret_that_is_not_a_variable_is_refused_by_name() -> None:
    text = GOOD.replace("    data: data\n", "    data: data\n    secrets: [bot token]\n")

    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(text.encode())

    assert "secrets" in caught.value.details["field"]
