"""What every forge lists, checked on the one in memory, on bare repositories and on GitHub."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apps.projects.forge import base
from tests.conformance.forge_steps import SPEC
from tests.conformance.git_hosts import FORGES, open_forge


@pytest.fixture(params=FORGES)
def forge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[base.Forge]:
    with open_forge(request.param, tmp_path) as forge:
        yield forge


def test_listing_names_every_repository_by_the_id_that_stays(forge: base.Forge) -> None:
    books = forge.ensure_repository(SPEC)
    notes = forge.ensure_repository(replace(SPEC, project_id="project-2", name="notes"))

    listed = {one.id: one for one in forge.list_repositories()}

    assert {books.id, notes.id} <= set(listed)
    assert (listed[books.id].name, listed[books.id].url) == (books.name, books.url)
    assert listed[notes.id].project_id == "project-2"
