"""Sentences are read as people mean them, or refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.sentences import NOT_UNDERSTOOD, SENTENCES, Sentence
from worker_image.rehearsal.sentences import beyond, understand
from worker_image.rehearsal.spec import (
    AddFields,
    Field,
    Kind,
    NewResource,
    Refusal,
    RemoveFields,
    Resource,
    SentenceNotUnderstood,
)

pytestmark = pytest.mark.unit

BOOKS = frozenset({"books"})


def _resource(text: str, known: frozenset[str] = frozenset()) -> Resource:
    meaning = understand(text, known)
    assert isinstance(meaning, NewResource)
    return meaning.resource


def _fields(text: str) -> dict[str, str]:
    return {field.name: field.kind.value for field in _resource(text).fields}


def _outcome(text: str) -> object:
    try:
        return understand(text, BOOKS)
    except Refusal as refusal:
        return refusal.message


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.name)
def test_sentence_becomes_the_resource_it_describes(sentence: Sentence) -> None:
    resource = _resource(sentence.text)

    assert resource.path == sentence.path
    assert {field.name: field.kind.value for field in resource.fields} == sentence.fields
    assert tuple(field.name for field in resource.fields if field.unique) == sentence.unique
    assert tuple(field.name for field in resource.fields if field.nullable) == sentence.optional


def test_ten_sentences_are_ten_services() -> None:
    paths = {_resource(sentence.text).path for sentence in SENTENCES}

    assert len(paths) == len(SENTENCES) == 10


@pytest.mark.parametrize("text", NOT_UNDERSTOOD, ids=range(len(NOT_UNDERSTOOD)))
def test_sentence_without_a_readable_resource_is_refused(text: str) -> None:
    with pytest.raises(SentenceNotUnderstood) as refusal:
        understand(text)

    assert refusal.value.reason == "sentence_not_understood"
    assert "an inventory of books" in refusal.value.message


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Books with title and author", "/books"),
        ("I need a book inventory", "/books"),
        ("a recipe book with title and text", "/recipes"),
        ("Please create a REST API to manage customers, with name and email", "/customers"),
        ("A service for managing support tickets. Each ticket has a subject and a status.", "/tickets"),
        ("A CRUD for people with name and age", "/people"),
        ("a registry of equipment with serial number and cost", "/equipment"),
        ("contacts (unique email, name, phone number)", "/contacts"),
        ("a list of menu items with name and price", "/menu-items"),
        ("a list of items with name and quantity", "/items"),
        ("a catalogue of “classes” with title and teacher", "/classes"),
        ("книги: название, автор", "/books"),
        ("сервис для работы с книгами: название, автор, год", "/books"),
        ("база клиентов, у каждого есть имя и телефон", "/clients"),
        ("каталог винтов с артикулом и ценой", "/vints"),
        ("список дел", "/todos"),
        ("pet adoption service: pets with name and age", "/pets"),
        ("a library management system with books having title and author", "/books"),
        ("библиотека: книги с названием и автором", "/books"),
        ("a list of docs with title", "/doc-records"),
    ],
)
def test_resource_is_found_in_many_wordings(text: str, path: str) -> None:
    assert _resource(text).path == path


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("books with a title, and a year of publication", {"title": "text", "publication_year": "year"}),
        ("plants with name, last watered", {"name": "text", "last_watered": "date"}),
        ("visits with starts at datetime", {"starts_at": "datetime"}),
        ("recipes with cooking time", {"cooking_time": "count"}),
        ("сотрудники с датой приёма и датой рождения", {"hire_date": "date", "birth_date": "date"}),
        ("books with number of pages", {"pages": "count"}),
        ("books with date of birth of the author", None),
        ("people with date of birth and phone number", {"birth_date": "date", "phone_number": "text"}),
        ("books: cost (number), pages (integer)", {"cost": "number", "pages": "integer"}),
        ("books:\n- title\n- author\n- year", {"title": "text", "author": "text", "year": "year"}),
        ("books with title, title and class", {"title": "text", "class_value": "text"}),
        ("books with id, title", {"title": "text"}),
        ("books with title and metadata", {"title": "text", "metadata_value": "text"}),
        ("books with name as text and is_read", {"name": "text", "is_read": "boolean"}),
        ("books with title and year so that I can find them", {"title": "text", "year": "year"}),
        ("книги с количеством страниц и ценой", {"pages": "count", "price": "number"}),
        ("книги: издательство, номер телефона", {"publisher": "text", "phone": "text"}),
        ("книги: в наличии, цена", {"in_stock": "boolean", "price": "number"}),
        ("книги: видео, датчик", {"video": "text", "datchik": "text"}),
    ],
)
def test_fields_are_found_in_many_wordings(text: str, fields: dict[str, str] | None) -> None:
    found = _fields(text)

    assert fields is None or found == fields


def test_modifiers_are_read_in_both_languages() -> None:
    english = _resource("books with unique isbn and optional note").fields
    russian = _resource("книги: уникальный isbn, необязательная заметка").fields

    assert english == russian
    assert english[0].unique
    assert not english[1].required


def test_unreadable_part_is_told_and_does_not_stop_the_rest() -> None:
    meaning = understand("books with title, everything, a very long thing that nobody could ever name")

    assert isinstance(meaning, NewResource)
    assert [field.name for field in meaning.resource.fields] == ["title"]
    assert len(meaning.unread) == 2


def test_what_is_never_built_is_told() -> None:
    assert beyond("a bot that reminds me of books, with login") == (
        "a bot",
        "reminders or notifications",
        "sign-in",
    )
    assert beyond("books with author") == ()
    assert "a bot" in beyond("Телеграм-бот с книгами")


@pytest.mark.parametrize(
    ("text", "names", "target"),
    [
        ("add a publisher field", ["publisher"], None),
        ("Add a publisher field to each book.", ["publisher"], "books"),
        ("add an optional integer pages to books", ["pages"], "books"),
        ("please add a field called publisher", ["publisher"], None),
        ("add publisher and price fields", ["publisher", "price"], None),
        ("I want to add a publisher field", ["publisher"], None),
        ("Let's add a field for publisher", ["publisher"], None),
        ("add a new field: publisher", ["publisher"], None),
        ("add to books a publisher", ["publisher"], "books"),
        ("добавь поле издатель", ["publisher"], None),
        ("нужно добавить поле «издатель»", ["publisher"], None),
        ("добавь к книгам издателя", ["publisher"], "books"),
        ("Добавь книгам поле издатель", ["publisher"], "books"),
        ("Добавь, пожалуйста, поле издатель к книгам", ["publisher"], "books"),
        ("добавить уникальный isbn в книги", ["isbn"], "books"),
    ],
)
def test_addition_names_its_fields(text: str, names: list[str], target: str | None) -> None:
    meaning = understand(text, BOOKS)

    assert isinstance(meaning, AddFields)
    assert [field.name for field in meaning.fields] == names
    assert meaning.target == target
    assert all(field.nullable for field in meaning.fields)


def test_added_field_is_optional_unless_the_sentence_insists() -> None:
    added = understand("add a publisher field", BOOKS)
    insisted = understand("add a required publisher field", BOOKS)

    assert isinstance(added, AddFields)
    assert isinstance(insisted, AddFields)
    assert added.fields == (Field(name="publisher", required=False, nullable=True),)
    assert insisted.fields == (Field(name="publisher", required=True, nullable=True),)


@pytest.mark.parametrize("text", ["remove the year field", "delete year from books", "удали поле год"])
def test_removal_names_its_fields(text: str) -> None:
    meaning = understand(text, BOOKS)

    assert isinstance(meaning, RemoveFields)
    assert meaning.names == ("year",)


def test_new_resource_beside_an_old_one_is_not_an_addition() -> None:
    assert _resource("add reviews with text and rating", BOOKS).path == "/reviews"


def test_shortener_has_a_code_that_is_made_up() -> None:
    code = _resource("a service that shortens links").field("code")

    assert code is not None
    assert code.kind is Kind.CODE
    assert code.unique


@given(st.text(max_size=300) | st.text("bokswith titleандсвремя,:().-\n", max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_always_alike(text: str) -> None:
    assert _outcome(text) == _outcome(text)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "part",
    ["with ", "of books ", "(", "reminds ", "add field ", "книга с ", "a,", "\n", " \n", ":\n", "- ", ". "],
)
def test_long_text_is_read_quickly(part: str) -> None:
    assert _outcome(part * 10_000)
