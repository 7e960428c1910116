"""Generated code is valid, passes the linter of its project, and can be read back."""

import ast
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from apps.projects.templating import TemplateAnswers
from tests.data.sentences import SENTENCES, Sentence
from tests.template.projects import copy_rendered
from worker_image.rehearsal import checkout, code, reading
from worker_image.rehearsal.sentences import understand
from worker_image.rehearsal.spec import Field, Kind, NewResource, Refusal, Resource

pytestmark = pytest.mark.unit

ANSWERS = TemplateAnswers(
    project_name="Everything", project_slug="everything", project_description="", modules=("backend",)
)
# Every type in every combination, under the longest names there can be.
LONGEST = Resource(
    singular="extraordinarily_long_thing",
    plural="extraordinarily_long_things",
    fields=tuple(
        Field(
            name=f"unusually_long_field_{place:03}",
            kind=kind,
            required=required and kind not in (Kind.BOOLEAN, Kind.CODE),
            unique=kind is not Kind.BOOLEAN and unique,
            nullable=not required and kind not in (Kind.BOOLEAN, Kind.CODE),
        )
        for place, (kind, required, unique) in enumerate(product(Kind, (True, False), (True, False)))
    ),
)


def _resource(sentence: Sentence) -> Resource:
    meaning = understand(sentence.text)
    assert isinstance(meaning, NewResource)
    return meaning.resource


RESOURCES = (*map(_resource, SENTENCES), LONGEST)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_rendered(ANSWERS, tmp_path / "project")


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_every_file_is_valid_python(resource: Resource) -> None:
    files = code.render(resource)

    assert len(files) == 5
    assert all(ast.parse(text) for text in files.values())


def test_every_resource_passes_the_linter_of_the_project(project: Path) -> None:
    for resource in RESOURCES:
        checkout.write_files(project, code.render(resource))

    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
    linted = subprocess.run(command, cwd=project, capture_output=True, text=True)

    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_written_resource_is_read_back(tmp_path: Path, resource: Resource) -> None:
    checkout.write_files(tmp_path, code.render(resource))

    assert reading.list_resources(tmp_path) == {resource.plural}
    assert reading.read_resource(tmp_path, resource.plural) == resource


@pytest.mark.parametrize("text", ["", "class Book:\n", "def x(): pass\n", "class A: pass\nclass B: pass\n"])
def test_code_in_another_style_is_refused(tmp_path: Path, text: str) -> None:
    checkout.write_files(tmp_path, code.render(RESOURCES[0]) | {"app/resources/books/models.py": text})

    with pytest.raises(Refusal) as refusal:
        reading.read_resource(tmp_path, "books")

    assert refusal.value.reason == "code_not_readable"
