"""Ten sentences that people would write, and the service that each must become."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """What a person writes, and what must come of it."""

    name: str
    text: str
    path: str
    fields: dict[str, str]  # name -> type, in the words of worker_image.rehearsal.spec.Kind
    valid: dict[str, Any]  # stored, and returned with exactly these values
    invalid: dict[str, Any]  # refused with 422
    unique: tuple[str, ...] = ()  # repeating the value is refused with 409
    optional: tuple[str, ...] = ()


SENTENCES = (
    Sentence(
        name="books",
        text="an inventory of books with title, author and year",
        path="/books",
        fields={"title": "text", "author": "text", "year": "year"},
        valid={"title": "The Dispossessed", "author": "Ursula K. Le Guin", "year": 1974},
        invalid={"title": "The Dispossessed", "author": "Ursula K. Le Guin", "year": "seventy-four"},
    ),
    Sentence(
        name="matches",
        text="a bot that reminds my football team of matches",
        path="/matches",
        fields={"opponent": "text", "starts_at": "datetime", "place": "text"},
        valid={"opponent": "Rovers", "starts_at": "2026-05-01T18:30:00Z", "place": "North ground"},
        invalid={"opponent": "Rovers", "starts_at": "on Friday"},
        optional=("place",),
    ),
    Sentence(
        name="links",
        text="a url shortener",
        path="/links",
        fields={"url": "url", "code": "code"},
        valid={"url": "https://example.com/a/long/address?q=1", "code": "short"},
        invalid={"url": "not an address"},
        unique=("code",),
    ),
    Sentence(
        name="todos",
        text="a todo list with title, done flag and due date",
        path="/todos",
        fields={"title": "text", "done": "boolean", "due_date": "date"},
        valid={"title": "Water the plants", "done": False, "due_date": "2026-02-28"},
        invalid={"title": "Water the plants", "done": "perhaps", "due_date": "2026-02-28"},
    ),
    Sentence(
        name="films",
        text="каталог фильмов с названием, режиссёром, годом и рейтингом",
        path="/films",
        fields={"title": "text", "director": "text", "year": "year", "rating": "number"},
        valid={"title": "Сталкер", "director": "Андрей Тарковский", "year": 1979, "rating": 8.1},
        invalid={"title": "Сталкер", "director": "Андрей Тарковский", "year": 1979, "rating": "высокий"},
    ),
    Sentence(
        name="employees",
        text="учёт сотрудников: имя, уникальный email, дата приёма, зарплата",
        path="/employees",
        fields={"name": "text", "email": "email", "hire_date": "date", "salary": "number"},
        valid={"name": "Анна", "email": "anna@example.com", "hire_date": "2024-09-01", "salary": 150000.5},
        invalid={"name": "Анна", "email": "nobody", "hire_date": "2024-09-01", "salary": 150000.5},
        unique=("email",),
    ),
    Sentence(
        name="recipes",
        text=(
            "Build me a recipe catalog where each recipe has a name, ingredients, "
            "number of servings and an optional image url."
        ),
        path="/recipes",
        fields={"name": "text", "ingredients": "long_text", "servings": "count", "image_url": "url"},
        valid={
            "name": "Pancakes",
            "ingredients": "flour, milk, eggs",
            "servings": 4,
            "image_url": "https://example.com/pancakes.jpg",
        },
        invalid={"name": "Pancakes", "ingredients": "flour, milk, eggs", "servings": -1},
        optional=("image_url",),
    ),
    Sentence(
        name="expenses",
        text="I want to track my expenses: amount, category, date (required) and an optional note",
        path="/expenses",
        fields={"amount": "number", "category": "text", "date": "date", "note": "long_text"},
        valid={"amount": 12.5, "category": "food", "date": "2026-01-31", "note": "lunch"},
        invalid={"amount": "a lot", "category": "food", "date": "2026-01-31"},
        optional=("note",),
    ),
    Sentence(
        name="kayaks",
        text="an API for kayaks with unique name, length in meters, integer seats, whether it is available",
        path="/kayaks",
        fields={"name": "text", "length": "number", "seats": "integer", "available": "boolean"},
        valid={"name": "Heron", "length": 4.8, "seats": 2, "available": True},
        invalid={"name": "Heron", "length": 4.8, "seats": 2.5, "available": True},
        unique=("name",),
    ),
    Sentence(
        name="workouts",
        text=(
            "Сделай бота для учёта тренировок: дата и время, упражнение, "
            "количество подходов, необязательный вес"
        ),
        path="/workouts",
        fields={"datetime": "datetime", "exercise": "text", "sets": "count", "weight": "number"},
        valid={"datetime": "2026-03-01T07:00:00Z", "exercise": "Присед", "sets": 5, "weight": 82.5},
        invalid={"datetime": "2026-03-01T07:00:00Z", "exercise": "Присед", "sets": "пять"},
        optional=("weight",),
    ),
)

NOT_UNDERSTOOD = (
    "make it nice",
    "asdf qwer",
    "hello",
    "a weather service",
    "an inventory of kayaks",
    "a bot with title",
    "сделай красиво",
    "Привет! Помоги мне, пожалуйста.",
    "каталог винтов",
    "我想要一个图书清单，包括标题、作者和年份",
    "كتالوج الكتب مع العنوان والمؤلف",
    "😀😀😀",
    "12345",
    "",
    "asdf " * 2_000,
)
