"""The words of a pull request, and which failures are the same."""

from typing import Any

import pytest

from apps.projects.models import MergeRequest, Project, Task
from apps.projects.pull_requests import describe, fingerprint
from tests.factories import MANIFEST

pytestmark = pytest.mark.unit

LOG = """\
2026-11-22T10:00:01Z [gw0] FAILED tests/test_books.py::test_add - assert 1 == 2
E   assert 1 == 2 at 0x7f3a2b1c9d10 in /home/runner/work/books/books/app/books.py:17
3 failed, 12 passed in 2.31s (run 9f86d081-884c-4d63-a1c5-2b1d3d9a0b5e)
"""


def named(excerpt: str, *, job: str = "check", step: str = "Run make check") -> str:
    return fingerprint(job=job, step=step, excerpt=excerpt)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2026-11-22T10:00:01Z", "2027-01-02T23:59:59Z"),
        ("0x7f3a2b1c9d10", "0x55d0c0ffee00"),
        ("/home/runner/work/books/books/app/books.py:17", "/srv/runner/_work/7/app/books.py:203"),
        ("9f86d081-884c-4d63-a1c5-2b1d3d9a0b5e", "00000000-1111-2222-3333-444444444444"),
        ("3 failed, 12 passed in 2.31s", "4 failed, 11 passed in 17.02s"),
        ("FAILED", "\x1b[31mFAILED\x1b[0m"),
    ],
)
def test_times_ids_paths_and_numbers_do_not_make_another_failure(old: str, new: str) -> None:
    assert old in LOG

    assert named(LOG.replace(old, new)) == named(LOG)


@pytest.mark.parametrize(
    ("excerpt", "step"),
    [
        ("E   KeyError: 'title'", "Run make check"),
        (LOG, "Run make setup"),
    ],
)
def test_other_words_or_another_step_are_another_failure(excerpt: str, step: str) -> None:
    assert named(excerpt, step=step) != named(LOG)


def change(**fields: Any) -> MergeRequest:
    project = Project(name="Books", slug="books", manifest=MANIFEST)
    defaults = {
        "project": project,
        "task": Task(project=project, spec=fields.pop("spec", "an inventory of books")),
        "base_sha": "b" * 40,
        "head_sha": "c" * 40,
        "evidence": {"passed": 12, "total": 12, "seconds": 2.5, "verification": "v-1"},
        "report": {
            "paths": fields.pop("paths", ["app/books.py"]),
            "files_changed": fields.pop("files_changed", 1),
            "additions": 7,
            "deletions": 2,
            "commits": [{"sha": "c" * 40, "subject": fields.pop("subject", "Add books")}],
        },
    }
    return MergeRequest(**{**defaults, **fields})


def test_description_tells_what_was_observed() -> None:
    text = describe(change())

    assert f"Commit `{'c' * 40}` on `{'b' * 40}`" in text
    assert "`make check` succeeded in a fresh place, 12 of 12 tests passed in 2.5 s" in text
    assert "Files changed: 1 (+7 −2 lines)" in text
    assert "- `app/books.py`" in text
    assert "Verification `v-1`" in text


def test_what_is_not_known_is_not_told() -> None:
    text = describe(change(evidence={}))

    assert "`make check` succeeded in a fresh place\n" in text
    assert "None" not in text


def test_words_of_people_and_agents_are_marked_and_have_no_effect() -> None:
    text = describe(change(spec="Fixes #1 @everyone\n```\n# Approved", subject="All tests pass @boss"))

    fenced = text.split("## Asked for")[1]
    assert "````text\nFixes #1 @everyone\n```\n# Approved\n````" in fenced
    assert "nobody has checked" in fenced
    assert "```text\nAll tests pass @boss\n```" in fenced


def test_many_files_are_counted_and_not_listed() -> None:
    text = describe(change(paths=[f"f{number}.py" for number in range(200)], files_changed=340))

    assert "`f49.py`" in text
    assert "`f50.py`" not in text
    assert "- and 290 more" in text


def test_strange_file_name_stays_code() -> None:
    text = describe(change(paths=["a`b](x)\n@c.py"]))

    assert "- ``a`b](x)?@c.py``" in text
