"""The one table from errors to answers."""

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions, serializers

from apps.errors import Conflict, Invalid, NotFound, OrchestratorError, Unavailable
from apps.lifecycle import IllegalTransition
from orchestrator.api import exception_handler

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (Invalid("no"), 400, "invalid"),
        (NotFound("no"), 404, "not_found"),
        (Conflict("no"), 409, "conflict"),
        (IllegalTransition("no"), 409, "illegal_transition"),
        (Unavailable("no"), 503, "unavailable"),
        (OrchestratorError("no"), 500, "error"),
        (exceptions.ParseError("no"), 400, "parse_error"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.PermissionDenied(), 403, "permission_denied"),
        (PermissionDenied(), 403, "permission_denied"),
        (exceptions.NotFound(), 404, "not_found"),
        (Http404(), 404, "not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (RequestDataTooBig(), 413, "body_too_large"),
        (exceptions.UnsupportedMediaType("x"), 415, "unsupported_media_type"),
        (exceptions.Throttled(3), 429, "throttled"),
    ],
)
def test_error_has_its_code_and_kind_in_one_form(error, code, kind):
    answer = exception_handler(error, {})

    assert answer is not None
    assert (answer.status_code, answer.data["error"]) == (code, kind)
    assert set(answer.data) == {"error", "message", "details"}


def test_bug_stays_loud():
    assert exception_handler(KeyError("x"), {}) is None


def test_fields_are_named_with_one_sentence_or_several():
    error = exceptions.ValidationError({"name": ["Too long."], "parts": {"0": ["Bad."]}, "both": ["a", "b"]})

    answer = exception_handler(error, {})

    assert answer is not None
    assert answer.data["details"] == {"name": "Too long.", "parts": {"0": "Bad."}, "both": ["a", "b"]}


def test_refused_choice_does_not_repeat_what_was_sent():
    field = serializers.ListField(child=serializers.ChoiceField(choices=["a", "b"]))
    with pytest.raises(exceptions.ValidationError) as refused:
        field.run_validation(["hunter-2"])

    answer = exception_handler(refused.value, {})

    assert answer is not None
    assert "choices" in str(answer.data)
    assert "hunter-2" not in str(answer.data)


def test_what_is_repeated_of_a_request_is_bounded_and_can_be_sent():
    error = Invalid("half \ud800", details={"n" * 1_000: "x" * 100_000, "rows": ["\udfff"], "limit": 5})

    answer = exception_handler(error, {})

    assert answer is not None
    assert answer.data["message"] == "half ?"
    assert answer.data["details"] == {"n" * 200: "x" * 4_000, "rows": ["?"], "limit": 5}


def test_header_that_tells_when_to_come_back_is_kept():
    answer = exception_handler(exceptions.Throttled(7), {})

    assert answer is not None
    assert answer["Retry-After"] == "7"


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/api/nothing/", "/api/projects/1/2/3/", "/api/worker/nothing"])
def test_path_that_the_api_does_not_have_is_answered_in_its_form(client, method, path):
    answer = getattr(client, method)(path)

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert answer.json() == {"error": "not_found", "message": "The API has no such path.", "details": {}}


def test_path_without_its_slash_is_still_sent_to_the_one_with_it(client):
    answer = client.get("/api/projects")

    assert (answer.status_code, answer["Location"]) == (301, "/api/projects/")


def test_person_who_mistypes_a_page_gets_a_page(client):
    answer = client.get("/nothing-here/")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_every_operation_names_what_it_may_refuse_and_how(client):
    schema = client.get("/api/schema/?format=json").json()
    operations = [
        (path, method, found) for path, item in schema["paths"].items() for method, found in item.items()
    ]

    assert len(operations) > 60
    for path, method, operation in operations:
        refused = {code for code in operation["responses"] if code >= "400"}
        assert {"400", "429"} <= refused, (path, method)
        assert "404" in refused or "{" not in path, (path, method)
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert body is None or "example" in body, f"{method} {path} has no example"


def test_page_of_the_documentation_asks_nobody_outside(client):
    page = client.get("/api/docs/").content.decode()

    assert "/static/drf_spectacular_sidecar/" in page
    assert "https://" not in page.replace("https://spec.openapis.org", "")
