"""The live card and the tables as a terminal shows them."""

import io
from typing import Any

import pytest
import typer
from rich.console import Console

from worker_image.cli.api import ApiError
from worker_image.cli.card_view import draw
from worker_image.cli.output import Output, plain, table

pytestmark = pytest.mark.unit

FAILURE = {
    "stage": "checks",
    "kind": "product",
    "code": "checks_failed",
    "message": "1 of 9 tests failed",
    "retryable": False,
    "details": {},
}


def line(text: str, state: str = "done", seconds: float | None = 1.25) -> dict[str, Any]:
    return {"text": text, "state": state, "seconds": seconds, "kind": "merged", "seq": 1}


def card(**changes: Any) -> dict[str, Any]:
    return {
        "task_id": "t1",
        "title": "an inventory of books",
        "status": "running",
        "agent": "",
        "lines": [],
        "url": "",
        "failure": None,
        "elapsed_seconds": 0.0,
        "accounting": {},
        **changes,
    }


def shown(renderable: Any, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(renderable)
    return console.export_text()


def test_empty_card_is_drawn():
    assert "an inventory of books" in shown(draw(card()))


def test_card_in_the_middle_shows_what_is_done_and_what_goes_on():
    text = shown(
        draw(card(agent="rehearsal", lines=[line("Worker ready"), line("Agent works", "active", None)]))
    )

    assert "✓ Worker ready" in text
    assert "1.2 s" in text
    assert "● Agent works" in text
    assert "rehearsal" in text


def test_failed_card_tells_why():
    text = shown(draw(card(status="failed", failure=FAILURE, lines=[line("Checks 8/9", "failed")])))

    assert "✗ Checks 8/9" in text
    assert "checks_failed (product)" in text
    assert "1 of 9 tests failed" in text


def test_completed_card_shows_the_address_and_the_times():
    text = shown(
        draw(
            card(
                status="completed",
                url="http://127.0.0.1:21000/",
                elapsed_seconds=42.5,
                accounting={"agent": 10.0, "overhead": 2.5},
            )
        )
    )

    assert "→ http://127.0.0.1:21000/" in text
    assert "completed · 42.5 s" in text
    assert "agent 10.0 s · overhead 2.5 s" in text


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize(
    "text",
    ["x" * 5_000, "Инвентарь книг: название, автор и год издания " * 40, "書籍 📚 " * 200, "[/bold] [x", ""],
)
def test_any_text_fits_any_terminal(text, width):
    frame = card(
        title=text, lines=[line(text), line(text, "active", None)], failure={**FAILURE, "message": text}
    )

    drawn = shown(draw(frame), width=width)

    assert max(len(row) for row in drawn.splitlines()) <= width


def test_unknown_state_of_a_line_is_drawn_too():
    assert "· from the future" in shown(draw(card(lines=[line("from the future", "imagined")])))


def test_what_a_terminal_would_obey_is_taken_out():
    drawn = shown(draw(card(title="a\x1b[2Jb", lines=[line("c\x1b]0;title\x07d")], url="http://x/\x1b[31m")))

    assert "\x1b" not in drawn
    assert "\x07" not in drawn


def test_plain_keeps_words_lines_and_tabs():
    assert plain("Книги\t1\n\x1b[31m\u202e") == "Книги\t1\n\ufffd[31m\ufffd"


class TestTables:
    def test_rows_stand_under_their_columns(self):
        text = _drawn(table(("id", "name"), [{"id": 1, "name": "Книги"}, {"id": 2}]))

        assert "id" in text
        assert "Книги" in text

    def test_names_are_no_markup(self):
        assert "[/red] [bold" in _drawn(table(("name",), [{"name": "[/red] [bold"}]))

    def test_empty_list_says_so(self):
        assert "Nothing yet." in _drawn(table(("name",), []))


def _drawn(show: Any) -> str:
    console = Console(file=io.StringIO(), width=80, record=True)
    show(console)
    return console.export_text()


class TestOutputForPeople:
    def test_error_names_its_fields_and_obeys_no_escape(self, capsys):
        output = Output()
        output.as_json = False

        with pytest.raises(typer.Exit) as left:
            output.fail(ApiError("invalid", "No [/x] \x1b[31m", {"name": "too long"}))

        assert left.value.exit_code == 1
        error = capsys.readouterr().err
        assert "Error: No [/x]" in error
        assert "name: too long" in error
        assert "\x1b[31m" not in error

    def test_success_without_words_shows_the_data(self, capsys):
        output = Output()
        output.as_json = False

        output.success({"name": "Книги"})

        assert '"name": "Книги"' in capsys.readouterr().out


def test_card_tells_how_alive_the_agent_is():
    line = {"verdict": "stalled", "text": "Stalled: no sign of life", "seconds": 41.6}

    text = shown(draw(card(liveness=line)))

    assert "Stalled: no sign of life · 42 s" in text
