"""Secrets: everything is checked before anything is stored."""

from base64 import b64decode, b64encode
from dataclasses import asdict

import pytest
from nacl.public import PrivateKey, SealedBox

from apps.projects.forge import hosting
from apps.projects.forge.github.secrets import MAX_SECRET_BYTES, check_values
from tests.apps.projects.forge.github.scripted import REPOSITORY, forge_of, said

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("lower", "x"),
        ("1_DIGIT", "x"),
        ("WITH-HYPHEN", "x"),
        ("A" * 101, "x"),
        ("GITHUB_TOKEN", "x"),
        ("EMPTY", ""),
        ("LARGE", "x" * (MAX_SECRET_BYTES + 1)),
        ("LARGE_BYTES", "ж" * (MAX_SECRET_BYTES // 2 + 1)),
        ("SIXTY_FOUR_KB", "x" * 65_537),
    ],
)
def test_unusable_secret_is_refused_before_anything_is_asked(name, value):
    forge, transport = forge_of({})

    with pytest.raises(hosting.SecretRefused) as refused:
        forge.put_secrets(REPOSITORY, {"GOOD": "x", name: value})

    assert transport.asked == []
    assert refused.value.details["field"] == name[:100]
    assert "xxx" not in refused.value.message


def test_largest_secret_is_taken():
    check_values({"A": "x" * MAX_SECRET_BYTES, "_B_2": "y"})


def listing(count: int) -> object:
    return said(200, {"secrets": [{"name": f"S{number}"} for number in range(count)]})


def test_too_many_secrets_are_refused_whole():
    forge, transport = forge_of({"GET /actions/secrets": listing(99)})

    with pytest.raises(hosting.SecretRefused) as refused:
        forge.put_secrets(REPOSITORY, {"A": "x", "B": "y"})

    assert refused.value.details == {"limit": 100, "present": 99}
    assert [request.method for request in transport.asked] == ["GET"]


def test_secret_that_is_there_does_not_count_twice_and_all_are_sealed():
    key = PrivateKey.generate()
    public = {"key": b64encode(bytes(key.public_key)).decode(), "key_id": "k1"}
    names = [f"S{number}" for number in (98, 99)]
    forge, transport = forge_of(
        {
            "GET /actions/secrets": listing(100),
            "GET /actions/secrets/public-key": said(200, public),
            **{f"PUT /actions/secrets/{name}": said(204) for name in names},
        }
    )

    forge.put_secrets(REPOSITORY, dict.fromkeys(names, "sesame"))

    bodies = [request.body for request in transport.asked if request.method == "PUT"]
    opened = {SealedBox(key).decrypt(b64decode(body["encrypted_value"])) for body in bodies}
    assert (opened, {body["key_id"] for body in bodies}) == ({b"sesame"}, {"k1"})
    assert "sesame" not in str([asdict(request) for request in transport.asked])


def test_nothing_to_put_asks_nothing():
    forge, transport = forge_of({})

    forge.put_secrets(REPOSITORY, {})

    assert transport.asked == []


def test_absent_secret_is_deleted_already():
    forge, _ = forge_of({"DELETE /actions/secrets/GONE": said(404), "GET ": said(200, {"id": 77})})

    assert forge.delete_secret(REPOSITORY, "GONE") is None
    assert forge.delete_secret(REPOSITORY, "../../x") is None
