"""Titles and summaries from a document's own words."""

import pytest

from apps.documents.excerpts import SUMMARY_CHARACTERS, summarise, title_of
from apps.documents.indexing import is_document

pytestmark = pytest.mark.unit

GUIDE = """\
# Lending *books*

[![build](https://ci.example/badge.svg)](https://ci.example)

The library lends books to members for three weeks at a time. Weather is nice today in the town.

```python
print("The library lends books never shown here because it is code.")
```

| column | other |
|--------|-------|
| books  | books |

- Members renew books by their [shelf number](shelf.md) when nobody has reserved those books.

Opening hours change in the summer.
"""


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Books\n\nText", "Books"),
        ("intro\n\n## Second level ##\n", "Second level"),
        ("Books\n=====\n\nText", "Books"),
        ("# Книги и **читатели**", "Книги и читатели"),
        ("no heading at all", "docs/plain.md"),
        ("", "docs/plain.md"),
        ("# " + "x" * 300, "x" * 200),
        ("# ``\n", "docs/plain.md"),
    ],
)
def test_title_is_the_first_heading_else_the_path(text: str, title: str) -> None:
    assert title_of(text, path="docs/plain.md") == title


def test_summary_keeps_the_first_sentence_and_those_of_frequent_words_in_their_order() -> None:
    summary = summarise(GUIDE)

    assert summary.startswith("The library lends books to members for three weeks at a time.")
    assert "Members renew books by their shelf number" in summary
    assert "print" not in summary
    assert "column" not in summary
    assert "badge" not in summary


def test_summary_of_russian_words() -> None:
    summary = summarise("# Книги\n\nБиблиотека выдаёт книги читателям. Погода сегодня хорошая и тёплая.")

    assert summary.startswith("Библиотека выдаёт книги читателям.")


@pytest.mark.parametrize("text", ["", "# Title\n", "```\nonly code\n```\n", "\n\n---\n"])
def test_document_without_sentences_has_no_summary(text: str) -> None:
    assert summarise(text) == ""


def test_summary_is_bounded_at_a_word() -> None:
    summary = summarise("word " * 5_000)

    assert len(summary) <= SUMMARY_CHARACTERS
    assert summary.endswith("word…")


@pytest.mark.parametrize(
    "path",
    ["README.md", "README", "docs/guide.rst", "doc/notes.txt", "a/b/Readme.txt", "CHANGELOG.md", "x.ADOC"],
)
def test_what_is_written_for_readers_is_a_document(path: str) -> None:
    assert is_document(path)


@pytest.mark.parametrize(
    "path", ["main.py", "requirements.txt", "node_modules/a/README.md", "a/vendor/x.md", "d/" * 300 + "a.md"]
)
def test_what_is_not_written_for_readers_is_none(path: str) -> None:
    assert not is_document(path)
