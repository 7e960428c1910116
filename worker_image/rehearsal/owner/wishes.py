"""From a person's message to what is wanted. Pure: the same words, the same meaning."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from worker_image.rehearsal import sentences
from worker_image.rehearsal.naming import word_set
from worker_image.rehearsal.spec import NewResource, Refusal
from worker_image.rehearsal.texts import language_of

LONGEST: Final = 20_000
_FILE: Final = re.compile(r"^\[Attached file (?P<name>'.*'|\".*\"); its id is (?P<id>[0-9a-f-]{36})\]$")
_LOST: Final = re.compile(r"^\[A file (?P<name>'.*'|\".*\") was sent and could not be taken over\]$")
_MODE: Final = re.compile(r"^rehearsal:\s*(?P<mode>[a-z0-9:-]+)$")
_ANSWER: Final = re.compile(
    r"^Answer to your question (?P<question>'.*?'|\".*?\"): (?P<answer>.*)$", re.DOTALL
)
_POLITE: Final = (
    r"(?:(?:please|hi|hello|hey|now|then|ok|okay|and|also|can you|could you|would you|i want you to|let'?s|"
    r"пожалуйста|привет|здравствуй\w*|теперь|а|и|можешь|давай)[\s,!.]+)*"
)
_BUILD: Final = re.compile(
    rf"^{_POLITE}(?:(?:build|make|create|develop|write|start|set up)(?:\s+(?:me|us))?|"
    r"i(?:'d| would)? (?:want|need|like)(?: to (?:have|build))?|we need|"
    r"(?:мне |нам )?(?:сделай\w*|создай\w*|построй\w*|собери\w*|напиши\w*|разработай\w*|"
    r"хочу|хотим|нужен|нужна|нужно|нужны)(?: мне| нам)?)\s+(?P<rest>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_CHANGE: Final = re.compile(
    rf"^{_POLITE}(?:add|change|remove|drop|delete|extend|update|modify|"
    r"добав\w*|измени\w*|поменя\w*|убер\w*|удал\w*|дополн\w*)\s+\S",
    re.IGNORECASE,
)
_STATUS: Final = re.compile(
    r"\bstatus\b|\breport\b|\bhow\s+(?:are|is|do|does)\b|"
    r"\bwhat(?:'s| is| are)\b.*\b(?:running|going|live|up)\b|"
    r"\bстатус\w*|\bсостояни\w*|\bотч[её]т\w*|\bкак\s+(?:там|дела|поживаю\w*|мои|мой|работа\w*)|"
    r"\bчто\s+(?:с|там|сейчас)\b",
    re.IGNORECASE,
)
_STOP: Final = re.compile(
    rf"^{_POLITE}(?:stop|cancel|abort|never ?mind|стоп\w*|останов\w*|отмен\w*|прекрат\w*|хватит|неважно)\b",
    re.IGNORECASE,
)
_MODULES: Final = (
    ("telegram", re.compile(r"\b(?:bots?|telegram|бот\w*|телеграм\w*)\b", re.IGNORECASE)),
    (
        "frontend",
        re.compile(
            r"\b(?:web ?sites?|sites?|(?:web ?)?pages?|front-?end|landing|сайт\w*|страниц\w*|лендинг\w*)\b",
            re.I,
        ),
    ),
    (
        "worker",
        re.compile(r"\b(?:workers?|jobs?|cron|schedul\w+|воркер\w*|по расписани\w+|фонов\w+)\b", re.I),
    ),
)
_ARTICLE: Final = re.compile(r"^(?:an?|the|my|our|new|нов\w+|мо[йюе]\w*)\s+", re.IGNORECASE)
_PROJECT: Final = re.compile(r"^(?:an?\s+)?(?:new\s+|нов\w+\s+)?(?:project|проект)\s*[:,-]\s*", re.IGNORECASE)
_WORD: Final = re.compile(r"\w{3,}")
_LETTER: Final = re.compile(r"[^\W\d_]")
#: Say nothing about which project is meant.
_COMMON: Final = word_set(
    "the and add for with that this field fields project change remove into from also please new bot site "
    "поле поля проект проекте проекту добавь измени удали для или что как мой моя бот бота"
)
_UNDECLINED: Final = word_set("меню интервью ревю резюме рагу табу")
_NAME_CHARACTERS: Final = 60
_STEM_CHARACTERS: Final = 5


class Intent(StrEnum):
    """What a message wants."""

    BUILD = "build"
    CHANGE = "change"
    STATUS = "status"
    STOP = "stop"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A message, taken apart."""

    text: str
    intent: Intent
    language: str  # "en" or "ru"; empty: there is no letter in it
    is_answer: bool = False  # to a question of ours
    files: tuple[str, ...] = ()  # ids
    lost: tuple[str, ...] = ()  # names
    mode: str | None = None  # a misbehavior, for tests


def read(prompt: str) -> Said:
    """Take a prompt apart; several messages that came together are read as one."""
    kept: list[str] = []
    files: list[str] = []
    lost: list[str] = []
    mode = None
    for line in prompt[:LONGEST].splitlines():
        if found := _FILE.match(line.strip()):
            files.append(found["id"])
        elif found := _LOST.match(line.strip()):
            lost.append(_unquoted(found["name"]))
        elif found := _MODE.match(line.strip()):
            mode = found["mode"]
        else:
            kept.append(line)
    text = "\n".join(kept).strip()
    answered = _ANSWER.match(text)
    text = answered["answer"].strip() if answered else text
    return Said(
        text=text,
        intent=intent_of(text),
        language=language_of(text) if _LETTER.search(text) else "",
        is_answer=answered is not None,
        files=tuple(dict.fromkeys(files)),
        lost=tuple(lost),
        mode=mode,
    )


def intent_of(text: str) -> Intent:
    """Tell what a message wants by how it begins, a report by what it asks."""
    first = text[:1_000]
    for intent, pattern in ((Intent.STOP, _STOP), (Intent.CHANGE, _CHANGE), (Intent.BUILD, _BUILD)):
        if pattern.search(first):
            return intent
    return Intent.STATUS if _STATUS.search(first) else Intent.OTHER


def thing_of(text: str) -> str:
    """Return what is to be built, without the words that ask for it."""
    found = _BUILD.match(text)
    return _PROJECT.sub("", found["rest"] if found else text).strip(" .!")


def is_understood(description: str) -> bool:
    """Tell whether the rehearsal developer could build this."""
    try:
        return isinstance(sentences.understand(description), NewResource)
    except Refusal:
        return False


def change_for(text: str, *, name: str, description: str) -> str | None:
    """Return the words for the developer that change a project; None if they could not be read.

    Args:
        text: what the person wrote.
        name: of the project, which the developer does not know it by.
        description: what it was built from.

    """
    try:
        built = sentences.understand(description)
    except Refusal:
        built = None
    known = frozenset([built.resource.plural] if isinstance(built, NewResource) else [])
    return next((spec for spec in (without_project(text, name), text) if _is_read(spec, known)), None)


def _is_read(spec: str, known: frozenset[str]) -> bool:
    try:
        sentences.understand(spec, known)
    except Refusal:
        return False
    return True


def completed(wish: str, answer: str) -> str | None:
    """Put a wish and what was missing of it together; None if nothing that could be built comes of it."""
    joined = (answer, f"{wish}: {answer}", f"{wish} with {answer}", f"{wish} с {answer}")
    return next((text for text in joined if is_understood(text)), None)


def modules_of(description: str) -> list[str]:
    """Return the template's modules for a description.

    The backend is always among them: it is what the rehearsal developer writes.
    """
    return ["backend", *(name for name, pattern in _MODULES if pattern.search(description))]


def name_of(description: str) -> str:
    """Return a project's name made of the first words of its description."""
    name = ""
    for word in _ARTICLE.sub("", re.split(r"[:.\n(]", description)[0]).split():
        if len(name) + len(word) + 1 > _NAME_CHARACTERS:
            break
        name = f"{name} {word}".strip()
    name = nominative(name.strip(" ,;-")) or "Project"
    return name[:1].upper() + name[1:_NAME_CHARACTERS]


def nominative(name: str) -> str:
    """Return a name without the case in which a Russian wish has it: "библиотеку книг" → "библиотека книг".

    Adjectives before the first noun change with it, what follows is in no accusative.
    """
    changed: list[str] = []
    words = name.split()
    for number, word in enumerate(words):
        adjective = re.fullmatch(r"(?P<stem>[а-яё]+)(?P<end>ую|юю)", word, re.IGNORECASE)
        if adjective is None:
            noun = re.fullmatch(r"(?P<stem>[а-яё]{2,})(?P<end>[ую])", word, re.IGNORECASE)
            if noun is not None and word.lower() not in _UNDECLINED:
                word = noun["stem"] + {"у": "а", "ю": "я"}[noun["end"].lower()]
            return " ".join([*changed, word, *words[number + 1 :]])
        changed.append(adjective["stem"] + {"ую": "ая", "юю": "яя"}[adjective["end"].lower()])
    return " ".join(changed)


def candidates(text: str, projects: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the projects that a message may mean: those that share most words with it, or all.

    A word of the name counts for more than one of the description.
    """
    wanted = _stems(text)
    scores = [
        3 * len(wanted & _stems(str(project.get("name", ""))))
        + len(wanted & _stems(str(project.get("description", ""))))
        for project in projects
    ]
    best = max(scores, default=0)
    return [project for project, score in zip(projects, scores, strict=True) if score == best]


def without_project(text: str, name: str) -> str:
    """Return a change without the mention of its project, which the developer does not know by that name."""
    named = rf"(?:project\s+|проект\w*\s+)?[\"'«]?{re.escape(name)}[\"'»]?(?:\s+project)?"
    places = (
        rf"\s+(?:to|in|of|for|from|в|к|из|для)\s+(?:the\s+|my\s+)?{named}",
        r"\s+(?:to|in|of|for|from)\s+(?:the|my|our)\s+(?:\w+\s+){0,4}(?:project|bot|site|service|app)\b",
        r"\s+(?:в|к|из|для)\s+(?:\w+\s+){0,2}(?:проект\w*|бот\w*|сайт\w*)(?:\s+\w+){0,3}",
    )
    for place in places:
        text = re.sub(place, "", text, flags=re.IGNORECASE)
    return text.strip()


def _stems(text: str) -> set[str]:
    words = (word.lower().replace("ё", "е") for word in _WORD.findall(text))
    return {word[:_STEM_CHARACTERS] for word in words if word not in _COMMON}


def _unquoted(name: str) -> str:
    try:
        return str(ast.literal_eval(name))
    except (ValueError, SyntaxError):
        return name
