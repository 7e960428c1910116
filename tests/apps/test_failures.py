"""A failure is one typed record, in Python, in rows and on the wire."""

import json
from uuid import uuid4

import pytest

from apps.errors import Conflict, Invalid, NotFound, OrchestratorError, Unavailable
from apps.failures import MAX_MESSAGE_CHARACTERS, Failure, FailureKind

pytestmark = pytest.mark.unit


def test_record_survives_the_way_through_json():
    failure = Failure(
        stage="checks",
        kind=FailureKind.PRODUCT,
        code="checks_failed",
        message="2 of 9 tests failed",
        retryable=True,
        details={"failed": 2},
    )

    assert Failure.from_json(json.loads(json.dumps(failure.as_json()))) == failure


def test_record_without_optional_fields_is_read():
    record = {"stage": "merge", "kind": "platform", "code": "x", "message": "y"}

    failure = Failure.from_json(record)

    assert (failure.retryable, failure.details) == (False, {})


def test_record_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="weather"):
        Failure.from_json({"stage": "a", "kind": "weather", "code": "x", "message": "y"})


def test_message_is_bounded():
    failure = Failure(stage="a", kind=FailureKind.USER, code="x", message="y" * 1_000_000)

    assert len(failure.as_json()["message"]) == MAX_MESSAGE_CHARACTERS


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (Invalid("no"), FailureKind.PRODUCT, False),
        (Unavailable("no"), FailureKind.PLATFORM, True),
        (NotFound("no"), FailureKind.PLATFORM, True),
        (Conflict("no"), FailureKind.PLATFORM, True),
    ],
)
def test_error_becomes_a_record_that_says_whose_move_it_is(error, kind, retryable):
    failure = Failure.from_error(error, stage="deploy")

    assert (failure.stage, failure.kind, failure.retryable) == ("deploy", kind, retryable)
    assert (failure.code, failure.message) == (error.error_code, "no")


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            (Invalid, "invalid"),
            (NotFound, "not_found"),
            (Conflict, "conflict"),
            (Unavailable, "unavailable"),
        ],
    )
    def test_docstring_is_the_default_message_and_code_is_stable(self, kind, code):
        error = kind()

        assert error.error_code == code
        assert str(error) == error.message == kind.__doc__

    def test_code_and_details_can_be_given_and_are_copied(self):
        details = {"field": "name"}

        error = Invalid("bad", code="bad_name", details=details)
        details["field"] = "changed"

        assert (error.error_code, error.details) == ("bad_name", {"field": "name"})

    def test_leaf_speaks_for_itself(self):
        class NoRoom(Unavailable):
            """There is no room.

            And more that nobody needs to read.
            """

            code = "no_room"

        error = NoRoom()

        assert (error.message, error.error_code) == ("There is no room.", "no_room")
        assert isinstance(error, OrchestratorError)

    def test_code_of_one_error_does_not_stick_to_its_class(self):
        Invalid(code=f"once-{uuid4()}")

        assert Invalid().error_code == "invalid"
