"""Whatever the chat, the admin and the API say to people, they say in Russian, too."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
#: How a text is marked → whether it has a plural.
CALLS = {
    "_": False,
    "gettext": False,
    "gettext_lazy": False,
    "gettext_noop": False,
    "ngettext": True,
    "ngettext_lazy": True,
}
#: Names and abbreviations that are the same in both.
SAME = {"GitHub", "Workflow"}
PLACES = re.compile(r"%\(\w+\)[sd]|%[sd]")


def sources(ending: str) -> Iterator[str]:
    for root in ("apps", "orchestrator"):
        for path in (ROOT / root).rglob(f"*.{ending}"):
            if "migrations" not in path.parts:
                yield path.read_text(encoding="utf-8")


def marked_calls() -> Iterator[tuple[str, str]]:
    """Yield every text in Python, with its plural or nothing."""
    for source in sources("py"):
        for call in ast.walk(ast.parse(source)):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args):
                continue
            words = [one.value for one in call.args[:2] if isinstance(one, ast.Constant)]
            if call.func.id in CALLS and words and isinstance(words[0], str):
                yield words[0], str(words[1]) if CALLS[call.func.id] else ""


def texts() -> set[tuple[str, str]]:
    """Return every text that people may read, of Python and of templates."""
    marked = re.compile(r"""{%\s*(?:translate|trans)\s+(["'])(.+?)\1""")
    found = {(text, "") for source in sources("html") for _quote, text in marked.findall(source)}
    # What is made of places alone has no language.
    return {pair for pair in found | set(marked_calls()) if re.search("[A-Za-z]", PLACES.sub("", pair[0]))}


def in_russian(text: str, plural: str) -> str:
    return translation.ngettext(text, plural, 5) if plural else translation.gettext(text)


def test_every_text_has_a_russian_one_with_the_same_places() -> None:
    found = texts()

    with translation.override("ru"):
        russian = {(text, plural): in_russian(text, plural) for text, plural in found if text not in SAME}

    lacking = {text for (text, plural), words in russian.items() if words in (text, plural)}
    different = {
        text
        for (text, plural), words in russian.items()
        if sorted(PLACES.findall(words)) != sorted(PLACES.findall(plural or text))
    }
    assert len(found) > 600
    assert lacking == set()
    assert different == set()


def test_no_name_is_excused_that_no_text_uses() -> None:
    assert {text for text, _plural in texts()} >= SAME
