"""Signing in and out from a terminal."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from tests.factories import make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _no_earlier_tries():
    cache.clear()
    yield
    cache.clear()


def sign_in(username, password=PASSWORD, **headers):
    return APIClient().post(
        "/api/login/", {"username": username, "password": password}, format="json", **headers
    )


def with_token(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def test_password_buys_a_token_that_works():
    user = make_user()

    answer = sign_in(user.username)

    assert answer.status_code == 201
    assert with_token(answer.json()["token"]).get("/api/projects/").status_code == 200


def test_token_is_stored_hashed():
    token = sign_in(make_user().username).json()["token"]

    record = AuthToken.objects.get()

    assert token not in {record.digest, record.token_key}
    assert record.expiry > timezone.now()


def test_signing_out_revokes_this_token_and_no_other():
    user = make_user()
    first, second = (sign_in(user.username).json()["token"] for _ in range(2))

    answer = with_token(first).post("/api/logout/")

    assert answer.status_code == 204
    assert with_token(first).get("/api/projects/").status_code == 401
    assert with_token(second).get("/api/projects/").status_code == 200


def test_token_that_ran_out_is_refused():
    token = sign_in(make_user().username).json()["token"]
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))

    assert with_token(token).get("/api/projects/").status_code == 401


def test_person_who_left_gets_nothing():
    user = make_user(is_active=False)

    assert sign_in(user.username).status_code == 401


def test_wrong_name_and_wrong_password_look_alike():
    user = make_user()

    wrong_password = sign_in(user.username, "wrong")
    wrong_name = sign_in("nobody", "wrong")

    assert wrong_password.status_code == wrong_name.status_code == 401
    assert wrong_password.json() == wrong_name.json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "a"}, "password"),
        ({"username": "a\x00", "password": "b"}, "username"),
        ({"username": "a" * 10_000, "password": "b"}, "username"),
        ({"username": "a", "password": "b", "admin": True}, "admin"),
    ],
)
def test_bad_words_are_refused_by_field(body, field):
    answer = APIClient().post("/api/login/", body, format="json")

    assert (answer.status_code, list(answer.json()["details"])) == (400, [field])


def test_guessing_is_throttled_whatever_a_header_says():
    user = make_user()
    answers = [
        sign_in(user.username, f"guess {number}", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}")
        for number in range(21)
    ]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert int(answers[-1]["Retry-After"]) > 0


def test_password_is_in_no_answer():
    answer = sign_in("nobody", "open-sesame-please")

    assert "sesame" not in answer.content.decode()
