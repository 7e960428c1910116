from pathlib import Path

import pytest

from apps.units.spec import UnitInvalid, UnitSpec

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../up"},
        {"name": ""},
        {"name": "x" * 101},
        {"argv": ()},
        {"argv": ("a\0b",)},
        {"env": {"A=B": "c"}},
        {"inputs": {"../x": Path("/etc/passwd")}},
        {"timeout_seconds": 0},
    ],
)
def test_impossible_spec_is_refused(changes):
    fields = {"name": "fine", "argv": ("true",), "timeout_seconds": 1} | changes

    with pytest.raises(UnitInvalid):
        UnitSpec(**fields)


def test_secrets_are_not_in_the_repr(make_spec):
    assert "sesame" not in repr(make_spec("quiet", env={"TOKEN": "sesame"}))
