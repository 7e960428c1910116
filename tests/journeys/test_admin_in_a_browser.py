"""Operators at a real browser: what they do with the system, followed and checked as they see it."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest

from orchestrator.env import ROOT
from orchestrator.stack.prepare import run_module
from tests.browser.chromium import NoBrowser, find
from tests.browser.person import DESKTOP, PHONE, Person, Theme, person_at
from tests.journeys.world import World, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SENTENCE = "an inventory of books with title, author and year"
THEMES: tuple[Theme, ...] = ("light", "dark")
#: Lists that no line of the sidebar leads to; those of the sidebar are looked at as they are there.
LISTS = ("projects/dispatch",)
#: What an operator steers the system by has its line in the sidebar.
STEERED_BY = {
    *("graph/question", "workers/deadletter", "workers/agentconfig", "django_celery_beat/periodictask"),
    *("infra/server", "projects/user", "projects/personaltoken", "projects/invitation", "hooks/webhook"),
    *("hooks/hookdelivery", "bot/chat", "bot/delivery", "bot/trouble", "admin/logentry"),
}


OWNER = """
import os
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser(username=os.environ["NAME"], password=os.environ["PASSWORD"])
"""
#: What a wrapper said to a reader that was too old for it, and is understood now.
DEAD_LETTER = """
import json, os
from apps.workers.models import DeadLetter, Turn
from worker_image.contract import ProgressEvent, ProgressType, envelope
turn = Turn.objects.get(task_id=os.environ["TASK"])
body = ProgressEvent(request_id=str(turn.pk), type=ProgressType.PROGRESS, message="heard too late")
said = envelope(boot=os.environ["BOOT"], seq=1, body=body).model_dump_json()
letter = DeadLetter.objects.create(
    worker_id=turn.worker_id, stream=f"worker:{turn.worker_id}:output", entry_id="1-0",
    payload=json.dumps({"data": said}), reason="an unknown kind of message",
)
print(letter.pk)
"""


#: What a system without a bot and without strangers does not get by itself.
ROWS = "import os; from tests.browser import rows; rows.make(os.environ['NAME'])"
#: Lists are drawn alike: the others' words and widths are looked at, their colors are those of these.
READ = {"/admin/projects/task/", "/admin/workers/deadletter/", "/admin/django_celery_beat/periodictask/"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Who signs in."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """A task that was followed to its end, and how its page looked then."""

    task: str
    url: str
    status: str
    html: str


@pytest.fixture(scope="module")
def account(world: World) -> Account:
    """An owner of the installation; made only where there is a browser."""
    try:
        find()
    except NoBrowser as error:
        pytest.skip(f"browser: {error}")
    made = Account(name="watcher", password=secrets.token_urlsafe(12))
    manage(world, OWNER, NAME=made.name, PASSWORD=made.password)
    return made


@pytest.fixture(scope="module")
def watcher(world: World, account: Account) -> Iterator[Person]:
    """Somebody who has signed in and stays."""
    with person_at(world.stack.web_url) as someone:
        someone.open("/admin/")
        someone.sign_in(account.name, account.password)
        yield someone


@pytest.fixture
def person(watcher: Person) -> Iterator[Person]:
    """The same, in one test: no page may have complained about anything."""
    yield watcher
    heard, watcher.complaints = watcher.complaints, []
    assert heard == []


@pytest.fixture(scope="module")
def books(world: World, account: Account, watcher: Person) -> Story:
    """A project that was asked for in the browser, and followed there until it answered."""
    begin(watcher, f"Books {secrets.token_hex(2)}", SENTENCE)
    task = task_of(watcher)
    watcher.page.locator(".orch-stop-current").first.wait_for()
    watcher.keep("admin-task-live")
    watcher.page.locator(".orch-url a").wait_for(timeout=180_000)
    url = str(watcher.page.locator(".orch-url a").inner_text())
    watcher.page.locator("#task-card:not([hx-get])").wait_for(timeout=60_000)
    manage(world, ROWS, NAME=account.name)
    return Story(task=task, url=url, status=status_of(watcher), html=watcher.page.content())


def manage(world: World, script: str, **environment: str) -> str:
    """Run a few lines inside the system."""
    words = {**world.stack.child_env(), **environment}
    return run_module("manage", "shell", "--command", script, env=words, root=ROOT)


def begin(person: Person, name: str, sentence: str, *modules: str) -> None:
    """Create a project and ask it for something; ends on the page of the task."""
    person.open("/admin/projects/project/add/")
    person.page.get_by_label("Name").fill(name)
    person.page.get_by_label("Description").fill(SENTENCE)
    for module in modules:
        person.page.get_by_label(module).check()
    person.press("Save")
    person.page.wait_for_url("**/change/")
    person.page.get_by_role("link", name="Ask for work").first.click()
    person.page.wait_for_url("**/task/add/**")
    person.page.get_by_label("Spec").fill(sentence)
    person.press("Save")
    person.page.wait_for_url("**/task/*/change/")


def task_of(person: Person) -> str:
    """Return the id of the task whose page is open."""
    return urlsplit(person.page.url).path.split("/")[-3]


def status_of(person: Person) -> str:
    return str(person.page.locator(".orch-card-meta").inner_text()).casefold()


def test_a_project_is_followed_live_to_its_address(books: Story) -> None:
    answer = httpx.get(f"{books.url.rstrip('/')}/books", trust_env=False, timeout=10)

    assert answer.status_code == 200
    # Nobody loaded the page anew; what stands beside the card followed, too.
    assert "completed" in books.status
    assert books.html.count('data-state="done"') >= 18
    assert "/admin/workers/verification/" in books.html


def test_a_question_is_answered_on_the_page_of_its_task(world: World, person: Person, books: Story) -> None:
    begin(person, f"Bot {secrets.token_hex(2)}", SENTENCE, "Telegram")
    task = task_of(person)
    form = person.page.locator(".orch-question")
    form.wait_for(timeout=180_000)
    person.keep("admin-question")

    form.get_by_role("textbox", name="Answer").fill("123456789:AAFakeFakeFakeFakeFakeFakeFakeFakeFak")
    form.get_by_role("button", name="Send the answer").click()

    person.page.get_by_text("The question was answered.").wait_for()
    assert task_of(person) == task
    assert world.reaches(task, "question_answered", seconds=10)
    assert "AAFake" not in person.page.content()


def test_project_tells_where_it_answers_and_rests(world: World, person: Person, books: Story) -> None:
    ((project,),) = world.rows("SELECT project_id::text FROM projects_task WHERE id = %s", books.task)

    person.open(f"/admin/projects/project/{project}/change/")

    card = person.page.locator("#project-card")
    assert card.locator(".orch-url a").first.inner_text() == books.url
    assert "2 tasks" in card.inner_text()
    assert card.get_attribute("hx-get") is None


def test_whatever_is_steered_has_its_line_in_the_sidebar(person: Person, books: Story) -> None:
    person.open("/admin/")

    assert set(sidebar(person)) >= STEERED_BY
    limits = person.page.get_by_text("WORKERS_MAX_CONCURRENT")
    assert limits.is_visible()


def test_what_was_done_is_written_down_with_who_did_it(
    account: Account, person: Person, books: Story
) -> None:
    person.open(f"/admin/admin/logentry/?q={account.name}")

    words = person.page.locator("#result_list").inner_text()
    assert "books" in words.casefold()
    assert account.name in words


def test_another_task_is_canceled_after_it_was_asked_whether(
    world: World, person: Person, books: Story
) -> None:
    begin(person, f"Slow {secrets.token_hex(2)}", f"{SENTENCE}\nrehearsal: hang")
    task = task_of(person)
    person.page.locator("[data-stop=await_turn][data-state=current]").wait_for(timeout=120_000)

    said = person.confirm("cancel", answer="Yes, cancel it")

    assert "What was merged or deployed stays." in said
    person.page.get_by_text("The task is being canceled.").wait_for()
    assert world.reaches(task, "canceled", seconds=60)
    assert eventually(lambda: "cancel" in status_of(person), seconds=30)


def test_a_dead_letter_is_replayed(world: World, person: Person, books: Story) -> None:
    letter = manage(world, DEAD_LETTER, TASK=books.task, BOOT=secrets.token_hex(8)).split()[-1]
    person.open(f"/admin/workers/deadletter/{letter}/change/")
    assert "heard too late" in person.page.content()

    person.confirm("replay", answer="Yes, replay it")

    person.page.get_by_text("The entry was applied.").wait_for()
    assert world.rows("SELECT status FROM workers_deadletter WHERE id::text = %s", letter) == [("replayed",)]


def details(world: World, story: Story) -> list[str]:
    """The pages of one row of every kind that the story made."""
    queries = {
        "projects/project": "SELECT project_id FROM projects_task WHERE id = %s",
        "projects/task": "SELECT id FROM projects_task WHERE id = %s",
        "graph/run": "SELECT id FROM graph_run WHERE task_id = %s",
        "workers/worker": "SELECT id FROM workers_worker WHERE task_id = %s",
        "workers/turn": "SELECT id FROM workers_turn WHERE task_id = %s",
        "workers/verification": "SELECT id FROM workers_verification WHERE task_id = %s",
        "projects/mergerequest": "SELECT id FROM projects_mergerequest WHERE task_id = %s",
    }
    latest = {
        page: f"SELECT id FROM {table} ORDER BY created_at DESC LIMIT 1"
        for page, table in {
            "projects/invitation": "projects_invitation",
            "infra/servicedeployment": "infra_servicedeployment",
            "infra/server": "infra_server",
            "bot/chat": "bot_chat",
            "bot/delivery": "bot_delivery",
            "bot/chatmessage": "bot_chatmessage",
            "bot/trouble": "bot_trouble",
            "hooks/webhook": "hooks_webhook",
            "hooks/hookdelivery": "hooks_hookdelivery",
        }.items()
    }
    found = {page: world.rows(query, story.task)[0][0] for page, query in queries.items()}
    found |= {page: world.rows(query)[0][0] for page, query in latest.items()}
    found["projects/user"] = world.rows("SELECT min(id) FROM projects_user")[0][0]
    return [f"{page}/{key}/change" for page, key in found.items()]


def sidebar(person: Person) -> list[str]:
    """The lists that the sidebar of the page that is open leads to, as ``app/model``."""
    links = person.page.locator("#nav-sidebar a[href^='/admin/']").evaluate_all(
        "found => found.map(one => new URL(one.href).pathname)"
    )
    return [link.strip("/").removeprefix("admin/") for link in links if link.count("/") == 4]


def pages(world: World, person: Person, story: Story) -> list[str]:
    """Every list, a page of every kind of row, and the forms."""
    person.open("/admin/")
    listed = dict.fromkeys([*sidebar(person), *LISTS])
    forms = ("/admin/", "/admin/projects/project/add/", "/admin/projects/task/add/")
    return [*forms, *(f"/admin/{page}/" for page in (*listed, *details(world, story)))]


def test_every_page_is_readable_by_everybody_and_on_a_phone(
    world: World, person: Person, books: Story
) -> None:
    shown = pages(world, person, books)
    person.use_theme("light")

    lists = {f"/admin/{page}/" for page in (*sidebar(person), *LISTS)} - READ
    unreadable: list[str] = []
    too_wide: list[str] = []
    for page in shown:
        person.resize(DESKTOP)
        person.open(page)
        if page not in lists:
            unreadable += person.violations()
            person.darken(True)
            unreadable += person.violations("color-contrast")
        person.resize(PHONE)
        too_wide += person.overflow()

    person.resize(DESKTOP)
    assert len(shown) > 35
    assert (unreadable, too_wide) == ([], [])


@pytest.mark.parametrize("theme", THEMES)
def test_pages_are_shown_in_the_theme_that_was_chosen(
    world: World, person: Person, books: Story, theme: Theme
) -> None:
    ((project, server),) = world.rows(
        "SELECT t.project_id, s.id FROM projects_task t, infra_server s WHERE t.id = %s LIMIT 1", books.task
    )
    pictures = {
        "overview": "/admin/",
        "task": f"/admin/projects/task/{books.task}/change/",
        "project": f"/admin/projects/project/{project}/change/",
        "server": f"/admin/infra/server/{server}/change/",
    }
    person.open("/admin/")
    person.use_theme(theme)

    for name, page in pictures.items():
        person.open(page)
        person.keep(f"admin-{name}-{theme}")
        person.resize(PHONE)
        person.keep(f"admin-{name}-phone-{theme}")
        person.resize(DESKTOP)

    assert person.is_dark() == (theme == "dark")


def test_who_has_left_is_not_let_in_again(watcher: Person, account: Account) -> None:
    with watcher.stranger() as someone:
        someone.open("/admin/login/")
        found = someone.violations()
        someone.sign_in(account.name, account.password)
        someone.page.locator("form[action$='/logout/']").first.evaluate("form => form.requestSubmit()")
        someone.page.wait_for_url("**/logout/")

        someone.open("/admin/")

        assert "/admin/login/" in someone.page.url
        assert (found, someone.complaints) == ([], [])
