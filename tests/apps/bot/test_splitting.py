"""Long texts become several messages, each complete and as large as Telegram allows."""

import pytest

from apps.bot import splitting
from tests.telegram_server.markup import units, visible

pytestmark = pytest.mark.unit


def test_short_text_stays_whole():
    assert splitting.split("<b>Hello</b>") == ["<b>Hello</b>"]


def test_text_is_cut_between_paragraphs_rather_than_lines_and_words():
    text = "one two\nthree\n\nfour five six"

    assert splitting.split(text, units=20) == ["one two\nthree", "four five six"]


def test_text_is_cut_between_words_where_there_is_no_line():
    assert splitting.split("aaaa bbbb cccc", units=9) == ["aaaa bbbb", "cccc"]


def test_word_that_is_too_long_is_cut_anywhere():
    assert splitting.split("a" * 25, units=10) == ["a" * 10, "a" * 10, "a" * 5]


def test_markup_is_closed_and_opened_again():
    parts = splitting.split('<pre><code class="language-py">aaaa bbbb</code></pre> end', units=5)

    assert parts == [
        '<pre><code class="language-py">aaaa</code></pre>',
        '<pre><code class="language-py">bbbb</code></pre>',
        "end",
    ]


def test_length_is_counted_in_what_telegram_counts():
    parts = splitting.split("😀" * 10, units=8)

    assert [units(part) for part in parts] == [8, 8, 4]


def test_entity_is_one_character_and_is_never_torn():
    assert splitting.split("&lt;" * 5, units=2) == ["&lt;&lt;", "&lt;&lt;", "&lt;"]


def test_emoji_of_several_signs_is_not_torn():
    family = "👨\u200d👩\u200d👧"

    assert splitting.split(f"abc{family}", units=8) == ["abc", family]


def test_text_of_any_sort_is_told_completely_in_parts_that_telegram_takes():
    words = "слово &amp; <b>жирно</b> <a href='https://example.org'>ссылка 😀</a>\n"
    text = words * 900

    parts = splitting.split(text)

    assert all(units(visible(part)) <= 4_096 for part in parts)
    assert "".join("".join(visible(part) for part in parts).split()) == "".join(visible(text).split())


def test_text_without_end_ends_with_an_ellipsis():
    parts = splitting.split("word " * 10_000, units=100, parts=3)

    assert len(parts) == 3
    assert parts[-1].endswith("…")


def test_shortened_text_is_complete_markup():
    assert splitting.shorten("<b>aaaa bbbb</b>", units=6) == "<b>aaaa…</b>"


def test_plain_text_has_neither_tags_nor_entities():
    assert splitting.plain("<b>1 &lt; 2</b> <3") == "1 < 2 <3"
