"""Writes the tests of a resource. Pure: a resource in, the text of its test module out."""

import json
from typing import Any

from worker_image.rehearsal.code_types import CODE_TYPES, is_shortener, words
from worker_image.rehearsal.spec import Resource


def render_tests(resource: Resource) -> str:
    """Return the text of the resource's test module."""
    names = {
        "one": resource.singular, "many": resource.plural, "path": resource.path,
        "title": words(resource.plural).capitalize(), "first": _literal(_body(resource, "first")),
        "second": _literal(_body(resource, "second")),
        "wrong": "".join(
            f'        ("{field.name}", {_value(CODE_TYPES[field.kind].wrong)}),\n'
            for field in resource.fields
        ),
    }  # fmt: skip
    text = _MODULE.format(**names)
    if any(field.required or field.nullable for field in resource.fields):
        text = text.replace(_FIRST_TEST, _WITHOUT + _FIRST_TEST, 1)
    for field in resource.fields:
        if field.required:
            text += _MISSING.format(**names, field=field.name)
        elif field.nullable:
            text += _OPTIONAL.format(**names, field=field.name)
        if field.unique:
            text += _UNIQUE.format(**names, field=field.name)
    return text + (_SHORTENER.format(**names) if is_shortener(resource) else "")


def _body(resource: Resource, which: str) -> dict[str, Any]:
    return {field.name: getattr(CODE_TYPES[field.kind], which) for field in resource.fields}


def _literal(body: dict[str, Any]) -> str:
    return "{\n" + "".join(f'    "{name}": {_value(value)},\n' for name, value in body.items()) + "}"


def _value(value: Any) -> str:
    return repr(value) if isinstance(value, bool) else json.dumps(value)


_MODULE = '''"""{title} are stored, changed and refused as described."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

FIRST: dict[str, Any] = {first}
SECOND: dict[str, Any] = {second}


def test_stored_{one}_comes_back(client: TestClient) -> None:
    created = client.post("{path}", json=FIRST)

    assert created.status_code == 201
    assert created.json() == FIRST | {{"id": created.json()["id"]}}
    assert client.get(f"{path}/{{created.json()['id']}}").json() == created.json()
    assert client.get("{path}").json() == [created.json()]


def test_{many}_survive_a_restart(client: TestClient, restart: Callable[[], TestClient]) -> None:
    created = client.post("{path}", json=FIRST).json()

    restarted = restart()

    assert restarted.get("{path}").json() == [created]


def test_{many}_are_listed_in_pages(client: TestClient) -> None:
    client.post("{path}", json=FIRST)
    second = client.post("{path}", json=SECOND).json()

    assert client.get("{path}", params={{"limit": 1, "offset": 1}}).json() == [second]


def test_{one}_can_be_replaced(client: TestClient) -> None:
    record_id = client.post("{path}", json=FIRST).json()["id"]

    replaced = client.put(f"{path}/{{record_id}}", json=SECOND)

    assert replaced.status_code == 200
    assert client.get(f"{path}/{{record_id}}").json() == SECOND | {{"id": record_id}}


@pytest.mark.parametrize("field", FIRST)
def test_one_field_can_be_changed(client: TestClient, field: str) -> None:
    record_id = client.post("{path}", json=FIRST).json()["id"]

    changed = client.patch(f"{path}/{{record_id}}", json={{field: SECOND[field]}})

    assert changed.json() == FIRST | {{field: SECOND[field], "id": record_id}}


def test_deleted_{one}_is_gone(client: TestClient) -> None:
    record_id = client.post("{path}", json=FIRST).json()["id"]

    assert client.delete(f"{path}/{{record_id}}").status_code == 204
    assert client.get(f"{path}/{{record_id}}").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
{wrong}    ],
)
def test_wrong_type_is_refused(client: TestClient, field: str, value: object) -> None:
    refused = client.post("{path}", json=FIRST | {{field: value}})

    assert refused.status_code == 422
    assert field in refused.json()["detail"][0]["loc"]
    assert client.get("{path}").json() == []


def test_unknown_field_is_refused(client: TestClient) -> None:
    refused = client.post("{path}", json=FIRST | {{"no_such_field": 1}})

    assert refused.status_code == 422
'''
_FIRST_TEST = "\n\ndef test_stored_"
_WITHOUT = '''

def _without(field: str) -> dict[str, Any]:
    return {name: value for name, value in FIRST.items() if name != field}
'''
_MISSING = '''

def test_{one}_without_{field}_is_refused(client: TestClient) -> None:
    refused = client.post("{path}", json=_without("{field}"))

    assert refused.status_code == 422
'''
_OPTIONAL = '''

def test_{one}_without_{field}_is_stored(client: TestClient) -> None:
    created = client.post("{path}", json=_without("{field}"))

    assert created.status_code == 201
    assert created.json()["{field}"] is None
'''
_UNIQUE = '''

def test_duplicate_{field}_is_refused(client: TestClient) -> None:
    client.post("{path}", json=FIRST)

    body = SECOND | {{"{field}": FIRST["{field}"]}}
    duplicate = client.post("{path}", json=body)

    assert duplicate.status_code == 409
    assert "{field}" in duplicate.json()["detail"]
    assert len(client.get("{path}").json()) == 1
'''
_SHORTENER = '''

def test_code_leads_to_the_address(client: TestClient) -> None:
    created = client.post("{path}", json={{"url": FIRST["url"]}}).json()

    followed = client.get(f"/go/{{created['code']}}", follow_redirects=False)

    assert followed.status_code == 307
    assert followed.headers["location"] == FIRST["url"]


def test_unknown_code_is_not_found(client: TestClient) -> None:
    assert client.get("/go/nothing", follow_redirects=False).status_code == 404
'''
