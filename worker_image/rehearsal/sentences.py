"""From a person's words to a meaning. Pure and deterministic: the same words, the same service."""

import re
import unicodedata
from dataclasses import replace
from types import ModuleType
from typing import Final

from worker_image.rehearsal import english, field_phrases, russian
from worker_image.rehearsal.spec import (
    AddFields,
    Field,
    Meaning,
    NewResource,
    RemoveFields,
    Resource,
    SentenceNotUnderstood,
)
from worker_image.rehearsal.well_known import DEFAULT_FIELDS

LONGEST_TEXT: Final = 20_000
_LONGEST_SENTENCE: Final = 4_000  # characters; keeps the patterns below cheap on any input
_SENTENCES: Final = 50
_SEPARATORS: Final = (
    r"\band\s+also\b|\band\b|\bplus\b|\bas\s+well\s+as\b|\balong\s+with\b|"
    r"(?<![а-я])(?:а\s+также|и|плюс)(?![а-я])"
)
_STOP: Final = (
    r"[\s,]+(?:so\s+that|so\s+i|so\s+we|in\s+order\s+to|because|which|where|who|when|to\s+be\s+able|"
    r"(?:and\s+)?(?:i|we|users?|people)\s+(?:can|could|want|need|will|should)|"
    r"чтобы|для\s+того|котор\w+|потому|где)(?=\s|,|$).*$"
)
_EXAMPLE: Final = 'for example "an inventory of books with title, author and year"'


def understand(text: str, known: frozenset[str] = frozenset()) -> Meaning:
    """Read what a person asked for.

    Args:
        text: any language and length; English and Russian are read.
        known: plurals of the resources that exist already.

    Raises:
        SentenceNotUnderstood: no resource with fields, and no change of a known one, can be read out of it.

    """
    sentences = _sentences(text)
    previous: tuple[str, str] | None = None
    for sentence in sentences:
        language = russian if re.search("[а-я]", sentence) else english
        change = _read_change(language, sentence, known)
        if change is not None:
            return change
        found, fields, unread = _read_description(language, sentence)
        if found is None and _refers_back(sentence):
            found = previous
        if found and fields:
            return NewResource(resource=_resource(found, fields), unread=unread)
        previous = found or previous
    if previous and previous[1] in DEFAULT_FIELDS:
        return NewResource(resource=_resource(previous, DEFAULT_FIELDS[previous[1]]))
    raise _not_understood(previous)


def beyond(text: str) -> tuple[str, ...]:
    """Return what the text asks for that this agent never builds, such as a bot."""
    plain = _plain(text)
    return tuple(dict.fromkeys(english.beyond(plain) + russian.beyond(plain)))


def _read_change(language: ModuleType, sentence: str, known: frozenset[str]) -> Meaning | None:
    change = language.read_change(sentence, known)
    if change is None:
        return None
    verb, listed, target = change
    phrases = field_phrases.split_list(listed, _SEPARATORS, _STOP)
    fields, unread = field_phrases.collect(
        phrases, lambda phrase: _as_added(language.read_field(phrase), phrase)
    )
    if not fields:
        raise SentenceNotUnderstood(f'No field could be read in "{listed.strip()[:80]}"')
    if verb == "remove":
        return RemoveFields(names=tuple(field.name for field in fields), target=target)
    return AddFields(fields=fields, target=target, unread=unread)


def _as_added(field: Field | None, phrase: str) -> Field | None:
    if field is None:
        return None
    return field.as_added(required=re.search(r"\b(?:required|mandatory|обязательн)", phrase) is not None)


def _read_description(
    language: ModuleType, sentence: str
) -> tuple[tuple[str, str] | None, tuple[Field, ...], tuple[str, ...]]:
    head, tail = language.split_introduction(sentence)
    phrases = field_phrases.split_list(tail, _SEPARATORS, _STOP)
    fields, unread = field_phrases.collect(phrases, language.read_field)
    return language.read_resource(head), fields, unread


def _refers_back(sentence: str) -> bool:
    return re.match(r"(?:it|they|each|every|all|fields?|у\s+кажд|кажд|поля|он[аио]?\b)", sentence) is not None


def _resource(names: tuple[str, str], fields: tuple[Field, ...]) -> Resource:
    singular, plural = names
    # A link that is to be shortened needs its short code, whatever else was listed.
    if plural == "links" and any(field.name == "code" for field in fields):
        shortener = DEFAULT_FIELDS["links"][1]
        fields = tuple(shortener if field.name == "code" else field for field in fields)
    return Resource(singular=singular, plural=plural, fields=tuple(replace(field) for field in fields))


def _not_understood(found: tuple[str, str] | None) -> SentenceNotUnderstood:
    if found is None:
        return SentenceNotUnderstood(f"The rehearsal agent found no thing to keep records of; try {_EXAMPLE}")
    return SentenceNotUnderstood(
        f"The rehearsal agent does not know what to store about '{found[0]}'; list the fields, {_EXAMPLE}"
    )


def _plain(text: str) -> str:
    lowered = unicodedata.normalize("NFC", text[:LONGEST_TEXT]).lower().replace("ё", "е")
    lowered = re.sub("[‘’ʼ`]", "'", lowered)
    lowered = re.sub("[“”„«»\"]", " ", lowered)
    # White space first: the patterns after it look at one character of it at a time.
    lowered = re.sub(r" ?\n[ \n]*", "\n", re.sub(r"[^\S\n]+", " ", lowered))
    lowered = re.sub(r",? ?\b(?:please|пожалуйста)\b,?", "", lowered)
    lowered = re.sub(r"\bdate and time\b|\bдат\w{1,3} и врем\w{1,4}", "datetime", lowered)
    return re.sub(" ?[—–] ?", " - ", lowered)


def _sentences(text: str) -> list[str]:
    # The lines of a list belong to the sentence that announces them.
    joined = re.sub(r"\n(?:[-*•]|\d{1,3}[.)]) ?", ": ", _plain(text), count=1)
    joined = re.sub(r"\n(?:[-*•]|\d{1,3}[.)]) ?", ", ", joined)
    joined = re.sub(r":[ :,\n]*", ": ", re.sub(r"\be\.g\.", "like", joined))
    parts = re.split(r"[.!?]+(?:\s|$)|\n", joined)
    cleaned = (re.sub(r"\s+", " ", part).strip(" ,;-") for part in parts)
    return [part[:_LONGEST_SENTENCE] for part in cleaned if part][:_SENTENCES]
