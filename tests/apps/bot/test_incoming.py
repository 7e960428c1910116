"""Updates of Telegram are read, whatever stands in them."""

from typing import Any

import pytest

from apps.bot.incoming import Incoming, Kind, clean, parse

pytestmark = pytest.mark.unit

ADA = {"id": 7, "first_name": "Ada", "last_name": "L", "username": "ada", "language_code": "ru-RU"}
CHAT = {"id": 7, "type": "private"}


def message(**fields: Any) -> Incoming:
    return parse({"update_id": 1, "message": {"message_id": 5, "from": ADA, "chat": CHAT, **fields}})


def test_message_is_read_with_who_wrote_it():
    read = message(text="hello", reply_to_message={"message_id": 3})

    assert (read.kind, read.chat_id, read.person_id, read.name) == (Kind.MESSAGE, 7, 7, "Ada L")
    assert (read.language, read.text, read.reply_to, read.is_private) == ("ru", "hello", 3, True)


@pytest.mark.parametrize(
    ("text", "command", "argument"),
    [
        ("/start CODE", "start", "CODE"),
        ("/Start@my_bot  two words ", "start", "two words"),
        ("/new a\nb", "new", "a\nb"),
        ("/", "", ""),
        ("/path/to", "", ""),
        ("no /start", "", ""),
    ],
)
def test_command_is_told_from_text(text: str, command: str, argument: str):
    read = message(text=text)

    assert (read.command, read.argument) == (command, argument)


def test_files_are_read_with_their_caption():
    sizes = [{"file_id": "small"}, {"file_id": "large", "file_size": 9}]

    photo = message(photo=sizes, caption="see")
    voice = message(voice={"file_id": "v", "mime_type": "audio/ogg", "file_size": 21 * 1024 * 1024})
    moving = message(animation={"file_id": "a"}, document={"file_id": "a"})

    assert (photo.text, photo.files[0].file_id, photo.files[0].size) == ("see", "large", 9)
    assert voice.files[0].is_too_large
    assert [file.kind for file in moving.files] == ["animation"]


def test_tap_is_read_with_its_data():
    query = {"id": "11", "from": ADA, "data": "token", "message": {"message_id": 5, "chat": CHAT}}

    read = parse({"update_id": 1, "callback_query": query})

    assert (read.kind, read.tap_id, read.data, read.chat_id) == (Kind.TAP, "11", "token", 7)


@pytest.mark.parametrize(
    "update",
    [
        {"message": None},
        {"message": {"chat": CHAT}},
        {"callback_query": {"id": "1", "from": ADA}},
        {"edited_channel_post": {"text": "x"}},
        {"message": {"from": "me", "chat": [], "text": {"a": 1}, "photo": "no", "document": 3}},
    ],
)
def test_what_cannot_be_read_is_nobodys_business(update: dict[str, Any]):
    assert parse({"update_id": 1, **update}).kind == Kind.OTHER


def test_update_without_an_id_is_none():
    with pytest.raises(ValueError, match="update_id"):
        parse({"message": {}})


def test_text_is_cleaned_of_what_no_database_takes():
    assert clean("a\0b\ud83dc") == "ab\ufffdc"
    assert len(clean("x" * 30_000)) == 20_000
