"""Slugs that are fit for repositories, directories and addresses."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.projects.forge.base import check_name
from apps.projects.naming import slug_candidates, slugify

pytestmark = pytest.mark.unit

PROJECT_ID = UUID("12345678-1234-4234-8234-1234567890ab")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Books", "books"),
        ("  Book   Inventory! ", "book-inventory"),
        ("Учёт книг", "uchet-knig"),
        ("Щука и объезд", "shchuka-i-obezd"),
        ("Їжак і ґава", "yizhak-i-gava"),
        ("Café Über", "cafe-uber"),
        ("It's mine", "its-mine"),
        ("2048 game", "project-2048-game"),
        ("a/b\\c..d", "a-b-c-d"),
        ("../../etc/passwd", "etc-passwd"),
        ("本の在庫", ""),
        ("🙂", ""),
        ("x" * 100, "x" * 40),
        ("a library of books with title and author", "a-library-of-books-with-title-and-author"),
        ("a library of books with title and authors", "a-library-of-books-with-title-and"),
    ],
)
def test_name_becomes_latin_words(name, slug):
    assert slugify(name) == slug


def test_name_without_latin_words_is_named_after_the_id():
    assert next(slug_candidates("本の在庫", project_id=PROJECT_ID)) == "project-12345678"


@given(st.text(max_size=200))
def test_every_candidate_of_any_name_is_usable(name):
    candidates = list(slug_candidates(name, project_id=PROJECT_ID))

    assert len(set(candidates)) == len(candidates)
    for slug in candidates:
        assert len(slug) <= 40
        assert check_name(slug) == slug
        assert re.fullmatch(r"[a-z][a-z0-9-]*", slug)
