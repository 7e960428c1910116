"""What the rehearsal developer says, in English and Russian; pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

ENGLISH, RUSSIAN = "en", "ru"

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "label": ("rehearsal agent (no model)", "репетиционный агент (без модели)"),
    "reading": ("Reading the task", "Читаю задачу"),
    "understood": ("Understood the sentence", "Фраза понята"),
    "wrote": ("Wrote {count} files", "Написано файлов: {count}"),
    "committed": ("Committed {sha}", "Сделан коммит {sha}"),
    "done": ("{title}; served under {path}.", "{title}; адрес {path}."),
    "created": ("{title}", "Добавлено: {resource} с полями {fields}"),
    "changed": ("{title}", "Изменено: {resource}, теперь с полями {fields}"),
    "not_built": (
        "Not built: {things}. Without a model only things with their fields are.",
        "Не сделано: {things}. Без модели получаются только вещи с их полями.",
    ),
    "unread": ("Not understood: {things}.", "Не понято: {things}."),
}
#: What is never built, as `sentences.beyond` names it.
_BEYOND: Final = {
    "a bot": "бот",
    "reminders or notifications": "напоминания и уведомления",
    "web pages": "веб-страницы",
    "sign-in": "вход и регистрация",
    "payments": "оплата",
}


def language_of(text: str) -> str:
    """Return the language of a person's words: Russian with any Cyrillic letter, else English."""
    return RUSSIAN if re.search("[а-яё]", text, re.IGNORECASE) else ENGLISH


def say(key: str, language: str, **values: Any) -> str:
    """Return one of the sentences above."""
    english, russian = _TEXTS[key]
    return (russian if language == RUSSIAN else english).format(**values)


def beyond(things: Iterable[str], language: str) -> str:
    """Return what is not built, as a list in words."""
    return ", ".join(_BEYOND.get(thing, thing) if language == RUSSIAN else thing for thing in things)
