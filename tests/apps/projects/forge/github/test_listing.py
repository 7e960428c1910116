"""The organisation's repositories on GitHub: all of them, or an error."""

from typing import Any

import pytest

from apps.projects.forge import base
from tests.apps.projects.forge.github.conftest import SPEC
from tests.apps.projects.forge.github.scripted import forge_of, said

pytestmark = pytest.mark.service

LIST = "GET /installation/repositories"
NEXT = "https://host.example/api/v3/installation/repositories?page=2"


def shown(number: int, **fields: Any) -> dict[str, Any]:
    url = f"https://host.example/book-club/r{number}"
    return {"id": number, "name": f"r{number}", "html_url": url, "description": None, **fields}


def test_strangers_and_renamed_ones_are_listed_with_what_their_mark_says(github, forge):
    made = forge.ensure_repository(SPEC)
    github.by_id(int(made.id)).name = "library"
    stranger = github.create_repository("wiki", description="Ours since 2012")

    listed = {one.id: (one.name, one.project_id) for one in forge.list_repositories()}

    assert listed[made.id] == ("library", SPEC.project_id)
    assert listed[str(stranger.id)] == ("wiki", None)


def test_pages_are_read_to_their_end():
    first = {"total_count": 2, "repositories": [shown(1)]}
    second = {"total_count": 2, "repositories": [shown(2)]}
    forge, _ = forge_of(
        {LIST: said(data=first, link=f'<{NEXT}>; rel="next"'), f"GET {NEXT}": said(data=second)}
    )

    listed = forge.list_repositories()

    assert [one.id for one in listed] == ["1", "2"]


@pytest.mark.parametrize(
    "answer",
    [
        said(data={"total_count": 3, "repositories": [shown(1), shown(2)]}),
        said(data={"repositories": [shown(1)]}),
        said(data={"total_count": 1, "repositories": [{"name": "r1"}]}),
        said(data={"total_count": 1, "repositories": {"r1": 1}}),
        said(data=[]),
        said(502, None),
    ],
)
def test_a_list_that_is_not_whole_is_an_error_and_never_a_shorter_one(answer):
    forge, _ = forge_of({LIST: answer})

    with pytest.raises(base.ForgeUnavailable):
        forge.list_repositories()


def test_an_organisation_without_repositories_is_empty():
    forge, _ = forge_of({LIST: said(data={"total_count": 0, "repositories": []})})

    assert forge.list_repositories() == []
