"""Reads Russian sentences. Pure: words in, meaning out.

The words people use most are in a lexicon; any other word is written in Latin letters after an
attempt to bring it to the form a dictionary would show.
"""

import re
from typing import Final

from worker_image.rehearsal import field_phrases, naming
from worker_image.rehearsal.field_kinds import kind_of
from worker_image.rehearsal.naming import word_set
from worker_image.rehearsal.russian_words import CONTAINERS, ENDINGS, FIELDS, FILLERS, NOT_NOUNS, RESOURCES
from worker_image.rehearsal.spec import Field, Kind

_INTRODUCTION: Final = re.compile(
    r"\s*(?:\s-\s|(?<![а-я])(?:с|со)\s+(?=[а-яa-z])|(?:в|у)\s+котор\w+\s+(?:есть|хранятся|хранится|имеются)|"
    r"\b(?:есть|имеются|имеет|содержит|включает|хранятся|с\s+указанием)\b)\s*"
)
_LIST_START: Final = re.compile(r"^(?:следующи\w+\s+)?(?:поля\w*|полей|указанием|колонк\w+)\s*[:-]?\s*")
_WHOLE: Final = (
    (re.compile(r"\bсокраща\w+\s+(?:url|ссыл\w+)|\bкоротки\w+\s+ссыл\w+"), "links"),
    (re.compile(r"\bсписок\s+дел\b|\bto-?do\b"), "todos"),
    (re.compile(r"\bблог\w*\b"), "posts"),
    (re.compile(r"\b(?:записн\w+|адресн\w+|телефонн\w+)\s+книг\w*|\bкнижк\w*\s+контактов"), "contacts"),
)


def split_introduction(sentence: str) -> tuple[str, str]:
    """Divide a sentence into what comes before its list of fields and the list; either may be empty."""
    match = re.search(r"\s*:\s*", sentence) or _INTRODUCTION.search(sentence)
    match = match or re.search(r"\s*(?=\()", sentence)
    if match is None:
        return sentence, ""
    head, tail = sentence[: match.start()], sentence[match.end() :]
    inner = _INTRODUCTION.search(tail)
    if inner and field_phrases.is_short(tail[: inner.start()]):
        # "библиотека: книги с названием": what is kept stands behind the first mark.
        return tail[: inner.start()], tail[inner.end() :]
    deeper = _LIST_START.match(tail)
    return head, tail[deeper.end() :] if deeper else tail


def read_resource(head: str) -> tuple[str, str] | None:
    """Return singular and plural of the resource that the start of a sentence names."""
    for pattern, plural in _WHOLE:
        if pattern.search(head):
            return naming.resource_names(plural)
    tokens = re.findall(r"[а-яa-z-]+", head)
    words = [word for word in tokens if word not in FILLERS and word not in NOT_NOUNS]
    for word in words:
        if not _is_container(word) and (known := _known_resource(word)):
            return naming.resource_names(known)
    has_container = any(_is_container(word) for word in words) or "учета" in tokens
    nouns = [word for word in words if not _is_container(word) and not _is_adjective(word)]
    if not nouns or (not has_container and len(nouns) > 1):
        return None
    noun = nouns[0]
    if re.search(r"[а-я]", noun) is None:
        return naming.resource_names(noun)
    singular = naming.identifier(_from_genitive_plural(noun))
    return (singular, naming.pluralize(singular)) if len(singular) > 1 else None


def _is_container(word: str) -> bool:
    return any(word.startswith(stem) and len(word) - len(stem) <= 3 for stem in CONTAINERS)


def _is_adjective(word: str) -> bool:
    return re.search(r"(?:ых|их|ого|его|ой|ый|ий|ая|ое|ые|ую)$", word) is not None


def _known_resource(word: str) -> str | None:
    stems = [stem for stem in RESOURCES if _begins(word, stem)]
    return RESOURCES[max(stems, key=len)] if stems else None


def _from_genitive_plural(word: str) -> str:
    for ending, replacement in (
        ("иев", "ий"), ("ьев", "ей"), ("ев", "й"), ("ов", ""), ("ий", "ия"), ("ей", "ь"),
    ):  # fmt: skip
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + replacement
    return word


def _from_instrumental(word: str) -> str:
    for ending, replacement in (
        ("ием", "ие"), ("ами", "ы"), ("ями", "и"), ("ом", ""), ("ем", "ь"),
        ("ой", "а"), ("ей", "я"), ("ью", "ь"),
    ):  # fmt: skip
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending) + replacement
    return word


_OPTIONAL: Final = re.compile(r"^(?:необязательн|опциональн|возможно)")
_REQUIRED: Final = re.compile(r"^обязательн")
_UNIQUE: Final = re.compile(r"^уникальн")
_TYPES: Final = (
    (re.compile(r"^(?:целое|целым|целочисленн\w+)$"), Kind.INTEGER),
    (re.compile(r"^(?:дробн\w+|числов\w+)$"), Kind.NUMBER),
    (re.compile(r"^(?:логическ\w+|булев\w*|флаг\w*|признак\w*|отметк\w+)$"), Kind.BOOLEAN),
    (re.compile(r"^(?:текстов\w+|строков\w+|строк\w)$"), Kind.TEXT),
)
_EXTRA: Final = word_set("поле поля полем полей колонка колонку о об его ее их а также тоже еще новое как")
_COUNTED: Final = re.compile(r"^(?:количеств\w*|кол-во|число|числом)\s+(\w+)$")
_TYPE_AFTER: Final = re.compile(r"\s+(?:как\s+)?(целое(?:\s+число)?|число|текст|дата|флаг)$")
_TYPE_AFTER_KINDS: Final = {"число": Kind.NUMBER, "текст": Kind.TEXT, "дата": Kind.DATE, "флаг": Kind.BOOLEAN}


def read_field(phrase: str) -> Field | None:
    """Return the field that one part of a list describes, or None if it describes none."""
    flags, kind, words = set(), None, []
    for word in phrase.split():
        if mark := _flag(word):
            flags.add(mark)
        elif stated := next((kind for pattern, kind in _TYPES if pattern.match(word)), None):
            kind = stated
        elif word not in _EXTRA and not (kind and word in ("число", "числом", "значение", "том")):
            words.append(word.strip("\"'«»()"))
    words = [word for word in words if word]
    if not words or len(words) > 4:
        return None
    name, known_kind = _field_name(words, kind)
    return field_phrases.build(name, kind or known_kind, frozenset(flags), kind_of) if name else None


def _flag(word: str) -> str | None:
    for pattern, flag in ((_OPTIONAL, "optional"), (_REQUIRED, "required"), (_UNIQUE, "unique")):
        if pattern.match(word):
            return flag
    return None


def _field_name(words: list[str], kind: Kind | None) -> tuple[str, Kind | None]:
    text = " ".join(words)
    counted = _COUNTED.match(text)
    if counted:
        name, _ = _field_name([counted[1]], None)
        return name, Kind.COUNT
    after = _TYPE_AFTER.search(text)
    if after and len(words) > 1 and kind is None:
        name, _ = _field_name(text[: after.start()].split(), None)
        return name, _TYPE_AFTER_KINDS.get(after[1], Kind.INTEGER)
    for stems, meaning in sorted(FIELDS.items(), key=lambda item: -len(item[0])):
        if len(stems) == len(words) and all(map(_begins, words, stems)):
            return meaning
    if len(words) > 1 and re.search(r"[а-я]", text):
        # "страна производства": the first word is what it is, the others say of what.
        translated = [_field_name([word], None)[0] for word in words]
        return "_".join([*translated[1:], translated[0]]), kind_of(translated[0])
    return naming.identifier("_".join(map(_from_instrumental, words)) if len(words) == 1 else text), None


def _begins(word: str, stem: str) -> bool:
    return word.startswith(stem) and word.removeprefix(stem) in ENDINGS


_POLITENESS: Final = re.compile(r"^(?:(?:теперь|и|также|еще|нужно|надо|хочу|хотим|давай|давайте)[\s,]+)+")
_ADDITION: Final = re.compile(r"^(?:добав(?:ь|ьте|ить)|включи(?:ть)?|введи(?:те)?)\s+(?P<what>.+)$")
_REMOVAL: Final = re.compile(r"^(?:удали(?:те|ть)?|убери(?:те)?|убрать)\s+(?P<what>.+)$")
_TARGET: Final = re.compile(
    r"\s+(?:к|ко|в|во|для|у|из)\s+(?:(?:каждой|каждого|каждому|каждую|каждый|всем|всех|ресурс\w*|таблиц\w+)\s+)*"
    r"(?P<word>[а-яa-z_]+)$"
)
_FIELD_WORD: Final = re.compile(r"\b(?:пол(?:е|я|ей|ем)|колонк\w+|столбец|атрибут\w*|свойств\w+)\b")


def read_change(sentence: str, known: frozenset[str]) -> tuple[str, str, str | None] | None:
    """Return ("add" or "remove", the list of fields, the plural of the resource or None).

    Args:
        sentence: in lower case.
        known: plurals of the resources that exist.
    """
    text = _POLITENESS.sub("", sentence)
    for verb, pattern in (("add", _ADDITION), ("remove", _REMOVAL)):
        match = pattern.match(text)
        if match is None:
            continue
        what, target = _take_target(match["what"], known)
        if target or _FIELD_WORD.search(what) or (verb == "remove" and known):
            return verb, _FIELD_WORD.sub("", what), target
    return None


def _take_target(what: str, known: frozenset[str]) -> tuple[str, str | None]:
    in_front = re.match(r"(?:(?:к|ко|в|во|для)\s+)?(?P<word>[а-яa-z_]+)(?=\s)", what)
    for match in (_TARGET.search(what), in_front):
        found = read_resource(match["word"]) if match else None
        if match and found and found[1] in known:
            return what[: match.start()] or what[match.end() :], found[1]
    return what, None


_BEYOND: Final = (
    (re.compile(r"\bбот\w*\b|\bтелеграм"), "a bot"),
    (re.compile(r"\bнапомин|\bуведомл|\bоповещ"), "reminders or notifications"),
    (re.compile(r"\bсайт\w*\b|\bвеб-?страниц|\bфронт"), "web pages"),
    (re.compile(r"\bвход\w*\b|\bавториз|\bпарол|\bрегистрац"), "sign-in"),
    (re.compile(r"\bоплат[аыуой]+\b|\bплатеж"), "payments"),
)


def beyond(text: str) -> tuple[str, ...]:
    """Return what the text asks for that this agent never builds."""
    return tuple(name for pattern, name in _BEYOND if pattern.search(text))
