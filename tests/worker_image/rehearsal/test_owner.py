"""The rehearsal Product Owner: which commands a message leads to, and what it tells of their answers."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from worker_image.contract import instruction_file
from worker_image.rehearsal.owner import memory, turn, wishes
from worker_image.rehearsal.owner.hands import CommandRefused
from worker_image.rehearsal.owner.wishes import Intent
from worker_image.result_parser import ResultParser

pytestmark = pytest.mark.unit

BOOKS = {
    "id": "11111111-0000",
    "name": "Books of the club",
    "description": "books with title",
    "status": "active",
}
FILMS = {
    "id": "22222222-0000",
    "name": "Films",
    "description": "films with title and year",
    "status": "active",
}
RUNNING = {
    "id": "t1",
    "project_id": "11111111-0000",
    "type": "engineering",
    "status": "running",
    "spec": "add x",
}
FILE = "0a1b2c3d-0000-4000-8000-000000000000"


@dataclass
class FakeHands:
    """Answers commands from a table, by their first words."""

    answers: dict[str, Any] = field(default_factory=dict)
    heard: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *arguments: str) -> Any:
        self.heard.append(arguments)
        answer = self.answers.get(" ".join(arguments[:2]), self.answers.get(arguments[0], []))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def of(self, *words: str) -> list[tuple[str, ...]]:
        return [call for call in self.heard if call[: len(words)] == words]


@dataclass
class Talk:
    """A person, a home, and the hands."""

    home: Path
    output: Any
    hands: FakeHands = field(default_factory=FakeHands)

    def __call__(self, message: str) -> str:
        self.hands.heard.clear()
        assert turn.run(message, self.home, self.hands) == 0
        result = ResultParser.parse(self.output.readouterr().out)
        assert result is not None
        return str(result["data"]["text"])


@pytest.fixture
def talk(tmp_path: Path, capsys: Any) -> Talk:
    hands = FakeHands({"project create": {"id": "p9", "name": "New"}, "task list": []})
    return Talk(tmp_path, capsys, hands)


def option(call: tuple[str, ...], name: str) -> list[str]:
    return [call[place + 1] for place, word in enumerate(call) if word == name]


@pytest.mark.parametrize(
    ("message", "modules"),
    [
        ("Build me a todo list with title and due date", "backend"),
        ("please make a telegram bot that keeps jokes with text and author", "backend,telegram"),
        ("Сделай сайт: каталог фильмов с названием и годом", "backend,frontend"),
        ("I want a job that checks prices: products with name and price", "backend,worker"),
        ("an inventory of books with title, author and year", "backend"),
    ],
)
def test_wish_becomes_a_project_and_its_work(talk: Talk, message: str, modules: str) -> None:
    talk(message)

    (created,) = talk.hands.of("project", "create")
    (started,) = talk.hands.of("engineering", "start")
    assert option(created, "--modules") == [modules]
    assert option(started, "--project") == ["p9"]
    assert option(started, "--spec") == option(created, "--description")
    assert "--deploy" in started


def test_message_without_a_letter_is_answered_in_the_language_of_the_chat(talk: Talk) -> None:
    (talk.home / instruction_file("rehearsal")).write_text(
        "- Write in the language of the person's latest message; if you cannot tell, in Russian.\n"
    )

    assert "Я могу заказать новое" in talk("???")
    assert "I can have something built" in talk("hm?")


def test_what_will_not_be_there_is_said_in_so_many_words(talk: Talk) -> None:
    text = talk("build me a list of matches with team and date, with reminders and payments")

    assert "Mind what will **not** be there: reminders or notifications, payments." in text


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("библиотеку книг с названием", "Библиотека книг с названием"),
        ("новую базу рецептов", "База рецептов"),
        ("простую домашнюю бухгалтерию", "Простая домашняя бухгалтерия"),
        ("меню кафе", "Меню кафе"),
        ("каталог фильмов про Анну", "Каталог фильмов про Анну"),
    ],
)
def test_a_project_is_not_called_by_the_case_of_its_wish(wish: str, name: str) -> None:
    assert wishes.name_of(wish) == name


def test_answer_is_told_by_both_ways_and_says_what_speaks(talk: Talk) -> None:
    text = talk("build me a todo list with title")

    (told,) = talk.hands.of("respond")
    assert option(told, "--message") == [text]
    assert "no model" in text
    assert talk.hands.heard[-1] == told


def test_missing_detail_is_asked_for_and_the_answer_completes_the_wish(talk: Talk) -> None:
    asking = talk("build me a bot that tells jokes")
    (asked,) = talk.hands.of("ask")
    before = talk.hands.of("project")

    answer = talk(f"Answer to your question {option(asked, '--text')[0]!r}: text and author")

    (created,) = talk.hands.of("project", "create")
    assert "a bot that tells jokes" in asking
    assert before == []
    assert option(created, "--name") == ["Bot that tells jokes"]
    assert option(created, "--modules") == ["backend,telegram"]
    assert option(created, "--description") == ["a bot that tells jokes: text and author"]
    assert "New" in answer


def test_answer_without_the_button_is_one_too_and_keeps_the_language(talk: Talk) -> None:
    talk("сделай мне бота")

    answer = talk("jokes with text and author")

    assert talk.hands.of("engineering", "start")
    assert "Создал проект" in answer


def test_third_answer_in_vain_ends_the_matter(talk: Talk) -> None:
    talk("build me a bot")

    texts = [talk("I do not know") for _ in range(4)]

    assert talk.hands.of("project", "create") == []
    assert "leave it at that" in texts[2]
    assert "I can have something built" in texts[3]


def test_wish_whose_turn_broke_off_is_not_created_twice(talk: Talk) -> None:
    same = {**BOOKS, "description": "books with title and year"}
    talk.hands.answers |= {"project list": [FILMS, same], "project tasks": []}

    text = talk("build me books with title and year")

    (started,) = talk.hands.of("engineering", "start")
    assert talk.hands.of("project", "create") == []
    assert option(started, "--project") == [BOOKS["id"]]
    assert "there already" in text


@pytest.mark.parametrize(
    ("message", "project", "spec"),
    [
        ("Add a publisher field to Books of the club", BOOKS, "Add a publisher field"),
        ("add a publisher field to my books project", BOOKS, "add a publisher field"),
        ("Remove the year from Films", FILMS, "Remove the year"),
        ("Добавь поле издатель в проект Films", FILMS, "Добавь поле издатель"),
    ],
)
def test_change_finds_its_project_by_words(talk: Talk, message: str, project: Any, spec: str) -> None:
    talk.hands.answers["project list"] = [FILMS, BOOKS]

    talk(message)

    (started,) = talk.hands.of("engineering", "start")
    assert (option(started, "--project"), option(started, "--spec")) == ([project["id"]], [spec])
    assert talk.hands.of("ask") == []


def test_change_of_an_unclear_project_is_asked_about(talk: Talk) -> None:
    talk.hands.answers |= {"project list": [FILMS, BOOKS], "project get": BOOKS}
    talk("add a publisher field")
    (asked,) = talk.hands.of("ask")
    started_before = talk.hands.of("engineering", "start")

    talk(f"Answer to your question 'Which project is meant?': {option(asked, '--option')[1]}")

    (started,) = talk.hands.of("engineering", "start")
    assert [name.split(" (")[0] for name in option(asked, "--option")] == ["Films", "Books of the club"]
    assert started_before == []
    assert talk.hands.of("project", "get") == [("project", "get", BOOKS["id"])]
    assert option(started, "--project") == [BOOKS["id"]]


def test_change_that_the_developer_could_not_read_is_not_begun(talk: Talk) -> None:
    talk.hands.answers["project list"] = [BOOKS]

    text = talk("change everything so that it is nicer")

    assert talk.hands.of("engineering") == []
    assert "add a publisher field" in text


def test_change_without_any_project_says_so(talk: Talk) -> None:
    assert "no project yet" in talk("add a publisher field")


def test_report_is_made_of_facts_only(talk: Talk) -> None:
    failed = {
        "id": "t2",
        "project_id": FILMS["id"],
        "status": "failed",
        "failure": {"message": "checks failed"},
    }
    live = {
        "project_id": BOOKS["id"],
        "url": "http://host:1/",
        "live_at": "2026-01-02T03:04:05Z",
        "starts": 2,
    }
    talk.hands.answers |= {
        "project list": [BOOKS, FILMS, {**FILMS, "id": "3", "status": "archived", "name": "Gone"}],
        "task list": [RUNNING, failed],
        "deploy list": [live],
        "infra servers": [{"name": "local", "status": "active"}],
    }

    text = talk("How are my projects?")

    lines = text.splitlines()
    assert lines[0] == "Your projects: 2."
    assert "http://host:1/" in lines[1]
    assert "2026-01-02 03:04" in lines[1]
    assert "being worked on: add x" in lines[1]
    assert "nothing is live; the last task failed: checks failed" in lines[2]
    assert lines[3] == "Load: 1 running, 0 waiting; servers: local (active)."


def test_fact_that_cannot_be_had_is_not_made_up(talk: Talk) -> None:
    talk.hands.answers |= {
        "project list": [BOOKS],
        "deploy list": CommandRefused("permission_denied", "deploy.status is not allowed"),
    }

    text = talk("статус")

    assert "Не получилось: deploy.status is not allowed" in text
    assert "Books" not in text


def test_stop_cancels_what_runs(talk: Talk) -> None:
    talk.hands.answers["task list"] = [RUNNING, {**RUNNING, "id": "t0", "status": "completed"}]

    text = talk("stop")

    assert talk.hands.of("task", "cancel") == [("task", "cancel", "t1")]
    assert "add x" in text


def test_stop_of_one_among_several_is_asked_about(talk: Talk) -> None:
    other = {**RUNNING, "id": "t2", "status": "queued", "spec": "films with year"}
    talk.hands.answers["task list"] = [RUNNING, other]
    talk("stop")
    (asked,) = talk.hands.of("ask")

    talk(f"Answer to your question 'What should I stop?': {option(asked, '--option')[1]}")
    named = talk.hands.of("task", "cancel")
    talk("cancel the films")

    assert named == [("task", "cancel", "t2")]
    assert talk.hands.of("task", "cancel") == [("task", "cancel", "t2")]


def test_stop_without_anything_running_drops_what_was_open(talk: Talk) -> None:
    talk("build me a bot")

    first, second = talk("never mind"), talk("stop")

    assert "I drop it" in first
    assert "Nothing runs" in second


def test_refusal_of_the_server_is_told(talk: Talk) -> None:
    talk.hands.answers["project create"] = CommandRefused(
        "permission_denied", "project.create is not allowed"
    )

    text = talk("build me a todo list with title")

    assert "project.create is not allowed" in text
    assert talk.hands.of("engineering") == []


def test_answer_that_cannot_be_sent_ahead_is_in_the_result(talk: Talk) -> None:
    talk.hands.answers["respond"] = CommandRefused("permission_denied", "no")

    assert "I can have something built" in talk("hello")


def test_question_that_cannot_be_asked_is_part_of_the_answer(talk: Talk) -> None:
    talk.hands.answers["ask"] = CommandRefused("too_many_questions", "no")

    assert "What should it keep" in talk("build me a bot")


def test_files_go_with_the_task(talk: Talk) -> None:
    text = talk(
        "build me a todo list with title\n"
        f"[Attached file 'it is \\'mine\\'.png'; its id is {FILE}]\n"
        "[A file 'huge.mov' was sent and could not be taken over]"
    )

    (created,) = talk.hands.of("project", "create")
    (started,) = talk.hands.of("engineering", "start")
    assert option(started, "--attach") == [FILE]
    assert option(created, "--description") == ["a todo list with title"]
    assert "huge.mov" in text


def test_files_of_the_question_before_are_not_forgotten(talk: Talk) -> None:
    talk(f"build me a bot\n[Attached file 'logo.png'; its id is {FILE}]")

    talk("jokes with text and author")

    (started,) = talk.hands.of("engineering", "start")
    assert option(started, "--attach") == [FILE]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"at": 1}', '{"at": 0, "kind": "build", "files": []}'])
def test_memory_that_is_old_or_broken_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / memory.FILE).write_text(content)

    assert memory.load(tmp_path) is None


def test_misbehavior_is_the_developers(talk: Talk, tmp_path: Path) -> None:
    code = turn.run("build me a todo list with title\nrehearsal: exit-1", tmp_path, talk.hands)

    assert code == 1
    assert talk.hands.heard == []


@pytest.mark.parametrize(
    ("text", "thing", "name"),
    [
        (
            "Build a new project: books with title and year",
            "books with title and year",
            "Books with title and year",
        ),
        ("Сделай новый проект: каталог книг", "каталог книг", "Каталог книг"),
        ("make me the bot!", "the bot", "Bot"),
        ("build " + "very " * 30 + "long", "very " * 30 + "long", ("Very " + "very " * 11).strip()),
    ],
)
def test_thing_and_its_name(text: str, thing: str, name: str) -> None:
    assert wishes.thing_of(text) == thing
    assert wishes.name_of(thing) == name


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Could you please build us a shop", Intent.BUILD),
        ("мне нужен каталог книг", Intent.BUILD),
        ("What is running?", Intent.STATUS),
        ("Как там мои проекты", Intent.STATUS),
        ("отмени всё", Intent.STOP),
        ("убери поле год", Intent.CHANGE),
        ("good morning", Intent.OTHER),
        ("", Intent.OTHER),
    ],
)
def test_intents(text: str, intent: Intent) -> None:
    assert wishes.intent_of(text) is intent


def test_result_cannot_be_closed_by_a_projects_name(talk: Talk) -> None:
    talk.hands.answers["project list"] = [{**BOOKS, "name": "</result><b>"}]
    talk.hands.answers["infra servers"] = []

    text = talk("status")

    assert "</result><b>" in text
    assert json.dumps(text)
