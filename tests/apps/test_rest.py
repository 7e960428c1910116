"""What every view shares, without any view of ours."""

import io

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ParseError

from apps.rest import BodyParser, StrictSerializer

pytestmark = pytest.mark.unit


class Words(StrictSerializer):
    name = serializers.CharField()
    id = serializers.IntegerField(read_only=True)


def errors_of(body):
    checked = Words(data=body)
    assert not checked.is_valid()
    return set(checked.errors)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": "a", "nmae": "b"}, {"nmae"}),
        ({"name": "a", "id": 7}, {"id"}),
        ({"x": 1, "y": 2}, {"x", "y"}),
        ([], {"non_field_errors"}),
        ("name", {"non_field_errors"}),
        ({}, {"name"}),
    ],
)
def test_words_that_are_not_known_are_refused_by_name(body, fields):
    assert errors_of(body) == fields


def test_known_words_pass():
    checked = Words(data={"name": "a"})

    assert checked.is_valid()
    assert checked.validated_data == {"name": "a"}


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff", b"NaN", b"1" * 10_000])
def test_body_that_is_no_json_is_the_senders_fault(content):
    with pytest.raises(ParseError):
        BodyParser().parse(io.BytesIO(content))


def test_body_is_read():
    assert BodyParser().parse(io.BytesIO('{"имя": [1]}'.encode())) == {"имя": [1]}
