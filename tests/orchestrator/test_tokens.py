"""Signing in and out from a terminal."""

from datetime import timedelta
from functools import partial

import pytest
from django.core.cache import cache
from django.utils import timezone
from rest_framework.test import APIClient

from apps.projects.models import IdempotencyRecord, PersonalToken
from apps.projects.services import TooManyTokens, issue_token
from apps.projects.services.tokens import MAX_TOKENS
from apps.roles import Role
from tests.factories import make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _no_earlier_tries(broker):
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

    record = PersonalToken.objects.get()

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
    PersonalToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))

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


def as_person(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_tokens_are_listed_by_name_and_prefix_and_never_shown_again():
    user = make_user()
    made = as_person(user).post("/api/tokens/", {"name": "laptop", "scopes": ["read"]}, format="json").json()
    with_token(made["token"]).get("/api/projects/")

    answer = as_person(user).get("/api/tokens/")

    (row,) = answer.json()["results"]
    assert (row["name"], row["scopes"], row["prefix"]) == ("laptop", ["read"], made["token"][:8])
    assert row["last_used_at"] is not None
    assert made["token"] not in answer.content.decode()


def test_one_token_is_revoked_and_the_others_stay():
    user = make_user()
    (_, first), (second, other) = (
        issue_token(person_id=user.pk, name="one"),
        issue_token(person_id=user.pk, name="two"),
    )

    answer = with_token(first).delete(f"/api/tokens/{second.public_id}/")

    assert answer.status_code == 204
    assert with_token(other).get("/api/projects/").status_code == 401
    assert with_token(first).get("/api/projects/").status_code == 200


def test_token_cannot_make_one_that_may_more():
    _, words = issue_token(person_id=make_user(role=Role.OWNER).pk, name="small", scopes=["read", "write"])

    more = with_token(words).post("/api/tokens/", {"name": "n", "scopes": ["operate"]}, format="json")
    same = with_token(words).post("/api/tokens/", {"name": "n"}, format="json")

    assert (more.status_code, same.status_code) == (403, 201)
    assert same.json()["scopes"] == ["read", "write"]


def test_viewer_has_tokens_too():
    answer = as_person(make_user(role=Role.VIEWER)).post("/api/tokens/", {"name": "n"}, format="json")

    assert with_token(answer.json()["token"]).get("/api/projects/").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "n", "scopes": []},
        {"name": "n", "scopes": ["admin"]},
        {"name": "n", "expires_in_days": 0},
        {"name": "n", "expires_in_days": 10_000},
        {"name": "n", "user": 1},
    ],
)
def test_nonsense_makes_no_token(body):
    answer = as_person(make_user()).post("/api/tokens/", body, format="json")

    assert answer.status_code == 400
    assert not PersonalToken.objects.exists()


def test_repeat_of_a_create_does_not_show_the_token_again():
    client = as_person(make_user())
    send = partial(client.post, "/api/tokens/", {"name": "n"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

    first, again = send().json(), send().json()

    assert again == {**first, "token": ""}
    assert first["token"] not in str(list(IdempotencyRecord.objects.values()))


def test_tokens_are_bounded_and_expired_ones_give_way():
    user = make_user()
    for number in range(MAX_TOKENS):
        issue_token(person_id=user.pk, name=f"n{number}")
    with pytest.raises(TooManyTokens):
        issue_token(person_id=user.pk, name="one more")
    PersonalToken.objects.filter(name="n0").update(expiry=timezone.now())

    issue_token(person_id=user.pk, name="one more")

    assert PersonalToken.objects.count() == MAX_TOKENS


def test_signing_in_again_and_again_locks_nobody_out():
    user = make_user()
    first, *_ = (issue_token(person_id=user.pk, name="login")[1] for _ in range(MAX_TOKENS))

    answer = sign_in(user.username)

    assert answer.status_code == 201
    assert PersonalToken.objects.count() == MAX_TOKENS
    assert with_token(first).get("/api/projects/").status_code == 401


def test_token_and_person_are_throttled_apart(settings):
    settings.API_REQUESTS_PER_MINUTE_PER_TOKEN, settings.API_REQUESTS_PER_MINUTE = 2, 5
    user = make_user()
    first, second, third = (issue_token(person_id=user.pk, name="n")[1] for _ in range(3))

    def ask(token):
        return with_token(token).get("/api/projects/")

    by_first = [ask(first).status_code for _ in range(3)]
    by_second = [ask(second).status_code for _ in range(2)]
    by_third = [ask(third) for _ in range(2)]
    other = with_token(issue_token(person_id=make_user().pk, name="n")[1]).get("/api/projects/")

    assert by_first == [200, 200, 429]
    assert by_second == [200, 200]
    # The person's own limit: four were let through before, and what is refused counts as well.
    assert by_third[-1].status_code == 429
    assert 0 < int(by_third[-1]["Retry-After"]) <= 60
    assert by_third[-1].json()["error"] == "throttled"
    assert other.status_code == 200
