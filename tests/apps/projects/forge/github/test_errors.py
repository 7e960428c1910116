"""What refusals of GitHub mean."""

import pytest

from apps.errors import Invalid, Unavailable
from apps.projects.forge import base, hosting
from apps.projects.forge.github import errors
from tests.apps.projects.forge.github.scripted import said

pytestmark = pytest.mark.unit

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (said(403, {"message": "You have exceeded a secondary rate limit"}, retry_after="30"), 30),
        (said(429, None, retry_after="7"), 7),
        (said(429), errors.SECONDARY_WAIT_SECONDS),
        (said(403, None, x_ratelimit_remaining="0", x_ratelimit_reset=str(int(NOW) + 90)), 91),
        (said(403, None, x_ratelimit_remaining="0", x_ratelimit_reset=str(int(NOW) - 90)), 1),
        (said(403, None, x_ratelimit_remaining="0", x_ratelimit_reset=str(int(NOW) + 10**9)), 3_600),
        (said(403, {"message": "You have exceeded a secondary rate limit."}), errors.SECONDARY_WAIT_SECONDS),
        (said(403, {"message": "Please wait a few minutes before you try again."}), 60),
        (said(429, None, retry_after="soon"), errors.SECONDARY_WAIT_SECONDS),
        (said(403, {"message": "Resource not accessible by integration"}), None),
        (said(404, None, retry_after="30"), None),
        (said(200, None, x_ratelimit_remaining="0"), None),
    ],
)
def test_wait_is_what_the_host_asks_for(answer, seconds):
    assert errors.wait_of(answer, now=NOW) == seconds


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said(401, {"message": "Bad credentials"}), hosting.ForgeCredentialInvalid),
        (said(403, {"message": "No"}), hosting.ForgeForbidden),
        (said(403, None, retry_after="5"), hosting.ForgeRateLimited),
        (said(404), hosting.ForgeRefused),
        (said(409, {"message": "Conflict"}), hosting.ForgeRefused),
        (said(422, {"message": "Validation Failed"}), hosting.ForgeRefused),
        (said(451), hosting.ForgeRefused),
        (said(500), base.ForgeUnavailable),
        (said(502, None), base.ForgeUnavailable),
        (said(307), base.ForgeUnavailable),
    ],
)
def test_every_status_has_a_meaning(answer, kind):
    assert type(errors.error_of(answer)) is kind


def test_who_can_do_something_is_told_apart():
    assert isinstance(errors.error_of(said(503)), Unavailable)
    assert isinstance(errors.error_of(said(403, None, retry_after="5")), Unavailable)
    assert isinstance(errors.error_of(said(422)), Invalid)
    assert not isinstance(errors.error_of(said(403)), Unavailable | Invalid)


def test_rate_limit_says_how_long():
    error = errors.error_of(said(429, None, retry_after="7"))

    assert error.details == {"retry_after": 7, "limit": "host"}


def test_lacking_permission_is_named_with_who_gives_it():
    answer = said(
        403,
        {"message": "Resource not accessible by integration"},
        x_accepted_github_permissions="contents=write,workflows=write; administration=write",
    )

    error = errors.error_of(answer)

    assert error.details["permission"] == "contents: write and workflows: write or administration: write"
    assert "owner of the organisation" in error.message


def test_plan_without_protection_is_told_as_that():
    words = "Upgrade to GitHub Pro or make this repository public to enable this feature."

    error = errors.error_of(said(403, {"message": words}))

    assert isinstance(error, hosting.ForgeForbidden)
    assert "plan" in error.message


def test_words_are_the_hosts_own_bounded_and_without_credentials():
    data = {
        "message": "Validation Failed",
        "errors": [
            {"message": "name already exists on this account"},
            {"field": "title", "code": "missing"},
            "plain",
            {"message": "see https://user:secret@host.example " + "x" * 5_000},
        ],
    }

    words = errors.words_of(said(422, data))

    assert words.startswith("Validation Failed; name already exists on this account; title missing; plain")
    assert "secret" not in words
    assert len(words) <= 500


@pytest.mark.parametrize("data", [None, [], "text", {"errors": "no list"}, {"message": None}])
def test_answer_without_words_is_told_by_its_status(data):
    assert errors.words_of(said(418, data)) == "status 418"
