"""Which source of a setting wins, and what happens when one is missing or malformed."""

from pathlib import Path

import pytest

from orchestrator import env as module
from orchestrator.env import Env, MissingSetting

pytestmark = pytest.mark.unit


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own: `.env` and `var/embedded.env` are read from here."""
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.delenv("VAR_DIR", raising=False)
    (tmp_path / "var").mkdir()
    return tmp_path


def write(place: Path, *, dotenv: str = "", embedded: str = "") -> None:
    (place / ".env").write_text(dotenv)
    (place / "var" / "embedded.env").write_text(embedded)


def test_process_wins_over_dotenv_and_dotenv_over_the_embedded_stack(place, monkeypatch):
    write(place, dotenv="A_X=dotenv\nB_X=dotenv\n", embedded="A_X=stack\nB_X=stack\nC_X=stack\n")
    monkeypatch.setenv("A_X", "process")

    env = Env()

    assert [env.str(name) for name in ("A_X", "B_X", "C_X")] == ["process", "dotenv", "stack"]


def test_empty_line_of_dotenv_hides_nothing(place):
    write(place, dotenv="A_X=\n", embedded="A_X=stack\n")

    assert Env().str("A_X") == "stack"


def test_embedded_values_come_from_the_named_state_directory(place, monkeypatch):
    write(place, embedded="A_X=default\n")
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "embedded.env").write_text("A_X=elsewhere\n")
    monkeypatch.setenv("VAR_DIR", str(place / "elsewhere"))

    assert Env().str("A_X") == "elsewhere"


def test_comments_quotes_and_signs_in_values_are_read(place):
    write(place, dotenv="# A_X=no\nA_X='yes'\nB_X=\"a=b=\"\nnonsense\n C_X = c \n")

    env = Env()

    assert [env.str(name) for name in ("A_X", "B_X", "C_X")] == ["yes", "a=b=", "c"]


def test_missing_files_are_no_error(place):
    assert Env().str("A_X", "default") == "default"


@pytest.mark.parametrize("value", [None, ""])
def test_required_value_that_is_missing_is_named_with_its_repair(place, monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("A_X", value)

    with pytest.raises(MissingSetting) as stop:
        Env().str("A_X")

    assert "A_X is not set" in str(stop.value)
    assert ".env.example" in str(stop.value)


def test_empty_default_is_a_default(place):
    assert Env().str("A_X", "") == ""


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("Yes", True), ("off", False), ("FALSE", False)])
def test_switch_is_read(place, monkeypatch, text, expected):
    monkeypatch.setenv("A_X", text)

    assert Env().bool("A_X", not expected) is expected


def test_words_that_are_no_switch_or_number_are_refused_by_name(place, monkeypatch):
    monkeypatch.setenv("A_X", "maybe")

    with pytest.raises(MissingSetting, match="A_X must be true or false"):
        Env().bool("A_X", True)
    with pytest.raises(MissingSetting, match="A_X must be a whole number"):
        Env().int("A_X")

    assert Env().int("B_X", 7) == 7


def test_list_has_no_empty_parts(place, monkeypatch):
    monkeypatch.setenv("A_X", " a, ,b,")

    env = Env()

    assert (env.list("A_X"), env.list("B_X", "")) == (["a", "b"], [])


def test_relative_path_is_taken_from_the_checkout(place, monkeypatch):
    monkeypatch.setenv("A_X", "here/there")

    env = Env()

    assert (env.path("A_X", place), env.path("B_X", Path("/else"))) == (
        place / "here" / "there",
        Path("/else"),
    )


def test_every_name_that_was_asked_for_is_remembered(place):
    env = Env()

    env.int("A_X", 1)
    env.bool("B_X", False)
    env.list("C_X", "")
    env.path("D_X", place)

    assert env.asked == {"A_X", "B_X", "C_X", "D_X"}
