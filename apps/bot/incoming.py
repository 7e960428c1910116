"""What came in, as far as the bot is interested in it: an update of Telegram, parsed and bounded; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

#: More than Telegram lets anybody write.
MAX_TEXT_CHARACTERS: Final = 20_000
MAX_NAME_CHARACTERS: Final = 200
#: Programs cut what is longer, in UTF-16 units, and send the parts at once; most look for a good place.
CUT_UNITS: Final = 4_096
_CUT_FROM_UNITS: Final = 3_500
#: What a bot may download.
MAX_FILE_BYTES: Final = 20 * 1024 * 1024
_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@\w{1,64})?(?:\s+(.*))?", re.DOTALL)
#: Fields of a message that hold one file, and what we call it.
_FILES: Final = ("document", "voice", "audio", "video", "video_note", "animation")


class Kind(StrEnum):
    """What sort of thing came in."""

    MESSAGE = "message"
    EDIT = "edit"
    TAP = "tap"
    JOINED = "joined"  # the person began to talk to the bot, or unblocked it
    LEFT = "left"  # the person blocked it
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file that came with a message; its content is still at Telegram."""

    kind: str
    file_id: str
    name: str = ""
    mime_type: str = ""
    size: int | None = None  # bytes; None: not told

    @property
    def is_too_large(self) -> bool:
        """Whether Telegram does not hand it to a bot."""
        return self.size is not None and self.size > MAX_FILE_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """One update; every text in it is a stranger's."""

    update_id: int
    kind: Kind
    chat_id: int = 0
    is_private: bool = False
    person_id: int = 0
    name: str = ""
    username: str = ""
    language: str = "en"
    message_id: int | None = None
    reply_to: int | None = None  # message_id of what it answers
    text: str = ""
    command: str = ""  # without its slash, in lower case
    argument: str = ""
    files: tuple[File, ...] = ()
    tap_id: str = ""
    data: str = ""  # of the tapped button


def parse(update: Mapping[str, Any]) -> Incoming:
    """Read an update as Telegram sends it.

    What cannot be read becomes ``Kind.OTHER``, and is nobody's business.

    Args:
        update: the JSON object.

    Raises:
        ValueError: it has no ``update_id``.

    """
    update_id = update.get("update_id")
    if not isinstance(update_id, int):
        raise ValueError("An update has an update_id.")
    for field, read in _READERS.items():
        content = update.get(field)
        if isinstance(content, Mapping):
            return read(update_id, content)
    return Incoming(update_id=update_id, kind=Kind.OTHER)


def clean(text: object, limit: int = MAX_TEXT_CHARACTERS) -> str:
    """Return a text without what a database refuses: NUL and halves of characters."""
    if not isinstance(text, str):
        return ""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "")[:limit]


def units_of(text: str) -> int:
    """Return the length of a text as Telegram counts it, in UTF-16 units."""
    return len(text.encode("utf-16-le", "replace")) // 2


def may_go_on(text: str) -> bool:
    """Tell whether a text is so long that it may be the first part of one that was cut."""
    return units_of(text) >= _CUT_FROM_UNITS


def _message(update_id: int, message: Mapping[str, Any]) -> Incoming:
    return _read_message(update_id, message, Kind.MESSAGE)


def _edit(update_id: int, message: Mapping[str, Any]) -> Incoming:
    return _read_message(update_id, message, Kind.EDIT)


def _read_message(update_id: int, message: Mapping[str, Any], kind: Kind) -> Incoming:
    text = clean(message.get("text") or message.get("caption"))
    found = _COMMAND.fullmatch(text.strip())
    return Incoming(
        update_id=update_id,
        kind=kind if isinstance(message.get("from"), Mapping) else Kind.OTHER,
        **_who(message.get("from"), message.get("chat")),
        message_id=_number(message.get("message_id")),
        reply_to=_number(_mapping(message.get("reply_to_message")).get("message_id")),
        text=text,
        command=found[1].lower() if found else "",
        argument=(found[2] or "").strip() if found else "",
        files=_files(message),
    )


def _tap(update_id: int, query: Mapping[str, Any]) -> Incoming:
    message = _mapping(query.get("message"))
    return Incoming(
        update_id=update_id,
        kind=Kind.TAP if message else Kind.OTHER,
        **_who(query.get("from"), message.get("chat")),
        message_id=_number(message.get("message_id")),
        tap_id=clean(query.get("id"), 100),
        data=clean(query.get("data"), 64),
    )


def _membership(update_id: int, change: Mapping[str, Any]) -> Incoming:
    status = _mapping(change.get("new_chat_member")).get("status")
    return Incoming(
        update_id=update_id,
        kind=Kind.LEFT if status in ("kicked", "left") else Kind.JOINED,
        **_who(change.get("from"), change.get("chat")),
    )


_READERS: Final = {
    "message": _message,
    "edited_message": _edit,
    "callback_query": _tap,
    "my_chat_member": _membership,
}


def _who(person: object, chat: object) -> dict[str, Any]:
    someone, place = _mapping(person), _mapping(chat)
    names = (clean(someone.get(part), MAX_NAME_CHARACTERS) for part in ("first_name", "last_name"))
    language = clean(someone.get("language_code"), 10).lower()
    return {
        "chat_id": _number(place.get("id")) or 0,
        "is_private": place.get("type") == "private",
        "person_id": _number(someone.get("id")) or 0,
        "name": " ".join(filter(None, names))[:MAX_NAME_CHARACTERS],
        "username": clean(someone.get("username"), 64),
        "language": "ru" if language.startswith("ru") else "en",
    }


def _files(message: Mapping[str, Any]) -> tuple[File, ...]:
    found = [(kind, _mapping(message.get(kind))) for kind in _FILES]
    # An animation is told as a document as well.
    if any(kind == "animation" and file for kind, file in found):
        found = [(kind, file) for kind, file in found if kind != "document"]
    sizes = message.get("photo")
    if isinstance(sizes, list) and sizes:
        found.append(("photo", _mapping(sizes[-1])))  # the last one is the largest
    return tuple(
        File(
            kind=kind,
            file_id=clean(file["file_id"], 300),
            name=clean(file.get("file_name"), MAX_NAME_CHARACTERS),
            mime_type=clean(file.get("mime_type"), 100),
            size=_number(file.get("file_size")),
        )
        for kind, file in found
        if file.get("file_id")
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
