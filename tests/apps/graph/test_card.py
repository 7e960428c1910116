"""The card: one line per event, the same at every drawing, in two languages."""

import gettext
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.graph import card, card_text
from apps.projects.models import Task, TaskEvent, TaskEventKind, TaskStatus
from apps.workers.queueing import QueuePlace

pytestmark = pytest.mark.unit

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LOCALE = Path(card.__file__).parent / "locale"


def make_task(**fields: Any) -> Task:
    return Task(**{"type": "engineering", "spec": "an inventory of books", "status": "running", **fields})


def make_events(task: Task, *kinds: str | tuple[str, dict[str, Any]], first: int = 1) -> list[TaskEvent]:
    """One event per second."""
    events = []
    for seq, kind in enumerate(kinds, start=1):
        name, data = kind if isinstance(kind, tuple) else (kind, {})
        at = START + timedelta(seconds=first + seq - 1)
        events.append(
            TaskEvent(
                pk=first + seq,
                task_id=task.pk,
                seq=seq,
                key=f"{name}:{seq}",
                kind=name,
                data=data,
                occurred_at=at,
            )
        )
    return events


def draw(task: Task, events: list[TaskEvent], **fields: Any) -> card.Card:
    return card.present(task, events, **{"language": "en", "now": START + timedelta(seconds=60), **fields})


FULL = (
    "acknowledged",
    "scaffolded",
    ("worker_requested", {"agent": "rehearsal"}),
    ("worker_ready", {"agent": "rehearsal"}),
    "turn_started",
    ("agent_progress", {"message": "Writing models"}),
    ("turn_finished", {"seconds": 1.5, "sha": "abcdef1234567890"}),
    "change_accepted",
    "checks_started",
    ("checks_passed", {"passed": 12, "total": 12, "seconds": 2.5, "install_seconds": 4.0}),
    ("merged", {"sha": "1234567890abcdef"}),
    "succeeded",
)
DEPLOYED = (
    "acknowledged",
    ("port_allocated", {"port": 21000}),
    "installing",
    "starting",
    ("smoke_passed", {"seconds": 0.5, "install_seconds": 3.0, "status": 200}),
    ("deployed", {"url": "http://127.0.0.1:21000"}),
    "succeeded",
)


def draw_whole() -> card.Card:
    task = make_task(status=TaskStatus.SUCCEEDED, finished_at=START + timedelta(seconds=12))
    follower = make_task(
        type="deploy", spec="", status=TaskStatus.SUCCEEDED, finished_at=START + timedelta(seconds=20)
    )
    deployed = make_events(follower, *DEPLOYED, first=13)
    return draw(task, make_events(task, *FULL), follower=follower, follower_events=deployed)


def test_the_whole_story_ends_with_the_address() -> None:
    drawn = draw_whole()

    assert (drawn.status, drawn.url) == ("completed", "http://127.0.0.1:21000")
    assert [line.text for line in drawn.lines] == [
        "Acknowledged",
        "Repository created",
        "Worker ready: rehearsal (offline coder, no model)",
        "Writing models",
        "The agent committed abcdef12",
        "The change was inspected and accepted",
        "Checks passed: 12 of 12",
        "Merged as 12345678",
        "Port 21000 allocated",
        "Installing",
        "Starting",
        "Smoke test passed",
        "Deployed: http://127.0.0.1:21000",
        "Done",
    ]
    assert {line.state for line in drawn.lines} == {"done"}


def test_the_agent_is_labelled_as_a_rehearsal() -> None:
    assert "rehearsal" in draw_whole().agent


def test_the_accounting_adds_up_to_the_elapsed_time() -> None:
    drawn = draw_whole()

    assert drawn.elapsed_seconds == 19.0
    assert drawn.accounting == {
        "agent": 1.5,
        "installation": 7.0,
        "checks": 2.5,
        "smoke": 0.5,
        "overhead": 7.5,
    }


def test_every_line_stands_for_exactly_one_event() -> None:
    drawn = draw_whole()

    ids = [line.event_id for line in drawn.lines]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("count", range(len(FULL) + 1))
def test_a_card_can_be_drawn_at_every_moment_and_twice_alike(count: int) -> None:
    task = make_task()
    events = make_events(task, *FULL[:count])

    assert draw(task, events) == draw(task, events)


@pytest.mark.parametrize("begun", sorted(card.ENDED_BY))
def test_what_was_begun_is_active_until_it_ends(begun: str) -> None:
    task = make_task()
    end = min(card.ENDED_BY[begun])

    active = draw(task, make_events(task, "acknowledged", begun)).lines
    ended = draw(task, make_events(task, "acknowledged", begun, end)).lines

    assert (active[-1].kind, active[-1].state, active[-1].seconds) == (begun, "active", None)
    assert [line.kind for line in ended] == ["acknowledged", end]
    assert ended[-1].seconds == 1.0


def test_what_broke_off_is_shown_as_failed() -> None:
    failure = {"stage": "workflow", "kind": "platform", "code": "workflow_timeout", "message": "Too late."}
    task = make_task(status=TaskStatus.FAILED, failure=failure, finished_at=START + timedelta(seconds=9))

    drawn = draw(task, make_events(task, "acknowledged", "turn_started", ("failed", failure)))

    assert [line.state for line in drawn.lines] == ["done", "failed", "failed"]
    assert drawn.lines[-1].text == "Failed: Too late. (workflow_timeout)"
    assert drawn.failure == failure


def test_only_the_latest_words_of_the_agent_are_shown() -> None:
    task = make_task()
    words = [("agent_progress", {"message": f"step {number}"}) for number in range(30)]

    drawn = draw(task, make_events(task, "turn_started", *words))

    assert [line.text for line in drawn.lines][1:] == [f"step {number}" for number in range(25, 30)]


@pytest.mark.parametrize("kind", TaskEventKind.values)
@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_kind_of_event_has_words(kind: str, language: str) -> None:
    task = make_task()

    lines = draw(task, make_events(task, kind), language=language).lines

    assert lines[0].text.strip()
    assert "%(" not in lines[0].text


@pytest.mark.parametrize("kind", sorted(set(TaskEventKind.values) - {"agent_progress"}))
def test_russian_words_are_russian(kind: str) -> None:
    task = make_task()

    text = draw(task, make_events(task, kind), language="ru").lines[0].text

    assert re.search("[а-яё]", text, re.IGNORECASE)


def test_a_title_is_one_printable_line() -> None:
    title = card_text.title("engineering", "books\n\x1b[31m" + "x" * 200)

    assert title.isprintable()
    assert len(title) == 80


@pytest.mark.parametrize("language", ["ru"])
def test_the_compiled_messages_are_those_of_the_source(language: str) -> None:
    folder = LOCALE / language / "LC_MESSAGES"
    source = (folder / "django.po").read_text(encoding="utf-8")
    with (folder / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)

    pairs = re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', source, re.MULTILINE)

    assert len(pairs) >= len(TaskEventKind)
    assert all(catalog.gettext(msgid) == msgstr for msgid, msgstr in pairs)


@pytest.mark.parametrize(
    ("language", "wait", "text"),
    [
        ("en", 130.0, "Waiting for a free worker: place 2 of 3, about 2 min more"),
        ("en", None, "Waiting for a free worker: place 2 of 3"),
        ("ru", 5.0, "Ждём свободного исполнителя: место 2 из 3, ещё около 1 мин"),
    ],
)
def test_worker_that_waits_for_a_place_shows_where_it_stands(
    language: str, wait: float | None, text: str
) -> None:
    task = make_task()
    place = QueuePlace(
        position=2, length=3, running=10, limit=10, estimated_wait_seconds=wait, deadline_at=START
    )

    shown = draw(task, make_events(task, "acknowledged", "worker_requested"), language=language, queue=place)
    later = draw(
        task, make_events(task, "acknowledged", "worker_requested", "worker_ready"), language=language
    )

    assert shown.lines[-1].text == text
    assert shown.queue == place
    assert later.queue is None


def test_worker_that_may_start_at_once_does_not_wait_for_others() -> None:
    task = make_task()
    place = QueuePlace(
        position=1, length=1, running=0, limit=10, estimated_wait_seconds=0.0, deadline_at=START
    )

    shown = draw(task, make_events(task, "acknowledged", "worker_requested"), queue=place)

    assert shown.lines[-1].text == "A worker is being prepared"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The worker's image is being built (only before the first one of its kind)"),
        ("ru", "Собирается образ исполнителя (только перед первым такого рода)"),
    ],
)
def test_worker_whose_image_is_being_built_says_so_and_for_how_long(language: str, text: str) -> None:
    task = make_task()
    since = START + timedelta(seconds=20)

    shown = draw(
        task, make_events(task, "acknowledged", "worker_requested"), language=language, image_wait=since
    )

    last = shown.lines[-1]
    assert (last.text, last.state, last.seconds) == (text, "active", 40.0)
    assert (shown.accounting["installation"], shown.accounting["overhead"]) == (40.0, 19.0)


def test_time_for_the_image_stays_installation_when_it_is_there() -> None:
    task = make_task()
    ready = ("worker_ready", {"agent": "claude", "install_seconds": 14.5})

    shown = draw(task, make_events(task, "acknowledged", "worker_requested", ready))

    assert shown.accounting["installation"] == 14.5


@pytest.mark.parametrize(
    ("usages", "cost", "tokens"),
    [
        ([{"cost_usd": 0.25, "input_tokens": 10, "output_tokens": 5}, {"cost_usd": 0.5}], 0.75, None),
        ([{"cost_usd": 0.25, "input_tokens": 10, "output_tokens": 5}], 0.25, 15),
        ([{"cost_usd": 0.25}, None], None, None),
        ([], None, None),
    ],
)
def test_cost_is_told_only_when_every_turn_told_its_own(
    usages: list[dict[str, Any] | None], cost: float | None, tokens: int | None
) -> None:
    task = make_task()
    turns = [("turn_finished", {"usage": usage}) for usage in usages]

    shown = draw(task, make_events(task, *turns))

    assert (shown.cost_usd, shown.tokens) == (cost, tokens)
