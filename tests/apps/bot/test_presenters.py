"""How things are written: escaped, bounded, in two languages."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.utils import translation

from apps import bot
from apps.bot import commands, presenters, prompts
from apps.errors import Conflict, Invalid, NotFound, Unavailable

pytestmark = pytest.mark.unit

HERE = Path(bot.__file__).parent
CATALOG = HERE / "locale" / "ru" / "LC_MESSAGES"
CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext"}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<b>x</b> & 'y'", "&lt;b&gt;x&lt;/b&gt; &amp; 'y'"),
        ("two\n lines\t\x1b[0m", "two lines [0m"),
        ("a\u202eb\u2066c", "abc"),
        ("שלום", "\u2068שלום\u2069"),
        ("👩‍👩‍👧 ok", "👩‍👩‍👧 ok"),
        ("x" * 130, "x" * 119 + "…"),
    ],
)
def test_name_is_one_escaped_line_that_turns_nothing(written: str, shown: str):
    assert presenters.name(written) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("**bold** & <tag>", "<b>bold</b> &amp; &lt;tag&gt;"),
        ("run `a && b` **now**", "run <code>a &amp;&amp; b</code> <b>now</b>"),
        ("so:\n```python\nx < 1\n```\nok", "so:\n<pre>x &lt; 1</pre>\nok"),
        ("a * b ** c ` d", "a * b ** c ` d"),
    ],
)
def test_words_of_an_agent_keep_code_and_bold_only(said: str, shown: str):
    assert prompts.agent_html(said) == shown


def test_messages_are_joined_up_to_a_bound_and_one_always_fits():
    said = [prompts.Said(text="x" * 25_000) for _ in range(5)]

    assert prompts.how_many(said) == 2
    assert prompts.how_many([prompts.Said(text="x" * 90_000)]) == 1
    assert prompts.join([prompts.Said(text="a"), prompts.Said(text=""), prompts.Said(text="b")]) == "a\n\nb"


@pytest.mark.parametrize(
    ("first", "second", "between"),
    [
        ("x" * 4_096, "yz", ""),  # within a word
        ("😀" * 2_048, "yz", ""),
        ("x " * 2_000, "yz", ""),  # after a space
        ("x" * 4_000, "\nyz", ""),
        ("x" * 4_000, "yz", "\n"),  # at a space, which is left out
        ("x" * 3_000, "yz", "\n\n"),  # two messages
    ],
)
def test_text_that_was_cut_is_put_together_without_tearing_words(first: str, second: str, between: str):
    said = [prompts.Said(text=first), prompts.Said(text=second), prompts.Said(text="end")]

    assert prompts.join(said) == f"{first}{between}{second}\n\nend"


def test_file_between_two_texts_parts_them():
    said = [prompts.Said(text="x" * 4_096, missing=("a.txt",)), prompts.Said(text="yz")]

    assert "taken over]\n\nyz" in prompts.join(said)


@pytest.mark.parametrize("kind", [Invalid, NotFound, Conflict, Unavailable])
def test_refusal_says_whose_move_it_is_and_escapes_the_rest(kind: type[Invalid]):
    told = presenters.refusal(kind("<no>", details={"name": "a&b"}))

    assert "&lt;no&gt;" in told
    assert "a&amp;b" in told


def test_link_leads_to_a_web_address_only():
    assert presenters.link("javascript:alert(1)") == "javascript:alert(1)"
    assert presenters.link('https://x/?a="b"') == '<a href="https://x/?a=&quot;b&quot;">https://x/?a="b"</a>'


@pytest.mark.parametrize("kind", ["product", "user", "provider", "platform"])
def test_failure_says_what_one_can_do(kind: str):
    told = presenters.failure({"kind": kind, "code": "x", "message": "<it> broke"})

    assert told.startswith("&lt;it&gt; broke (x)\n")
    assert len(told.splitlines()) == 2


def test_menu_has_words_in_both_languages():
    english, russian = commands.menu("en"), commands.menu("ru")

    assert english.keys() == russian.keys()
    assert all(re.search("[а-я]", words) for words in russian.values())
    assert "invite" not in english


def messages() -> set[str]:
    """Return every text of this app that people may read."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in HERE.rglob("*.py"))
    calls = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in CALLS and call.args
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def test_every_text_has_a_russian_one_with_the_same_places():
    with (CATALOG / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)

    def russian(text: str) -> str:
        # One of several forms is kept under the number alone.
        plural = catalog.ngettext(text, text, 5)
        return plural if plural != text else catalog.gettext(text)

    lacking = {text for text in messages() if russian(text) == text and "%(message)s" not in text}
    places = re.compile(r"%\(\w+\)s")
    different = {
        text
        for text in messages() - lacking
        if sorted(places.findall(text)) != sorted(places.findall(russian(text)))
    }

    assert len(messages()) > 150
    assert lacking == set()
    assert different == set()


def test_the_compiled_messages_are_those_of_the_source():
    source = (CATALOG / "django.po").read_text(encoding="utf-8")
    with (CATALOG / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)

    pairs = re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', source, re.MULTILINE)

    assert len(pairs) > 150
    assert all(catalog.gettext(ast.literal_eval(f'"{a}"')) == ast.literal_eval(f'"{b}"') for a, b in pairs)
    with translation.override("ru"):
        assert presenters.duration(75) == "1 мин 15 с"
