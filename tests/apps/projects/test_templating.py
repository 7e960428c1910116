"""Projects are rendered completely, safely and always alike, or not at all."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from apps.errors import Conflict, Invalid, Unavailable
from apps.projects import templating
from apps.projects.templating import TemplateAnswers

pytestmark = pytest.mark.unit

ANSWERS = TemplateAnswers(
    project_name="Books",
    project_slug="books",
    project_description="an inventory of books with title, author and year",
    modules=("backend",),
)
HOSTILE = 'a "quoted" \\ back\\n {{ 7*7 }} {% raw %} {# x #} \'\'\' \n\n """ книги 书 😀\u2028\t# - : ${HOME}'


def _contents(project: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(project)): (path.read_bytes(), path.stat().st_mode & 0o111)
        for path in project.rglob("*")
        if path.is_file()
    }


def test_result_lists_every_file_and_the_pinned_version(tmp_path: Path) -> None:
    result = templating.render(tmp_path / "p", answers=ANSWERS)

    assert list(result.files) == sorted(_contents(tmp_path / "p"))
    assert {"project.yaml", "Makefile", "AGENTS.md", "CLAUDE.md", "TASK.md"} <= set(result.files)
    assert result.template_version == templating.template_version()


def test_two_renderings_are_identical(tmp_path: Path) -> None:
    templating.render(tmp_path / "here", answers=ANSWERS)
    (tmp_path / "elsewhere").mkdir()
    templating.render(tmp_path / "elsewhere" / "there", answers=ANSWERS)

    assert _contents(tmp_path / "here") == _contents(tmp_path / "elsewhere" / "there")


def test_answers_file_has_answers_and_version_but_no_path(tmp_path: Path) -> None:
    templating.render(tmp_path / "p", answers=ANSWERS)

    text = (tmp_path / "p" / ".copier-answers.yml").read_text()
    recorded = yaml.safe_load(text)
    assert recorded["_src_path"] == "template:orchestrator"
    assert recorded["_commit"] == templating.template_version()
    assert recorded["project_description"] == ANSWERS.project_description
    assert str(tmp_path) not in text
    assert str(templating.TEMPLATE_DIRECTORY) not in text


def test_hostile_description_is_kept_word_for_word(tmp_path: Path) -> None:
    templating.render(tmp_path / "p", answers=replace(ANSWERS, project_description=HOSTILE))

    recorded = yaml.safe_load((tmp_path / "p" / ".copier-answers.yml").read_text())
    assert recorded["project_description"] == HOSTILE
    assert HOSTILE in (tmp_path / "p" / "TASK.md").read_text(encoding="utf-8")


def test_hostile_name_is_a_valid_python_string(tmp_path: Path) -> None:
    name = HOSTILE.replace("\n", " ").replace("\t", " ").strip()
    namespace: dict[str, str] = {}

    templating.render(tmp_path / "p", answers=replace(ANSWERS, project_name=name))

    exec((tmp_path / "p" / "app" / "about.py").read_text(encoding="utf-8"), namespace)
    assert namespace["NAME"] == name


def test_description_of_ten_thousand_characters_is_rendered(tmp_path: Path) -> None:
    templating.render(tmp_path / "p", answers=replace(ANSWERS, project_description="книга " * 1_700))

    assert "книга книга" in (tmp_path / "p" / "TASK.md").read_text(encoding="utf-8")


def test_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    templating.render(tmp_path / "p", answers=replace(ANSWERS, project_description="one\r\ntwo"))

    assert "one\ntwo" in (tmp_path / "p" / "TASK.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("modules", [("spaceship",), ("backend", "spaceship"), ("back",), ()])
def test_unknown_module_is_refused_by_name(tmp_path: Path, modules: tuple[str, ...]) -> None:
    with pytest.raises(templating.TemplateUnknownModule) as refusal:
        templating.render(tmp_path / "p", answers=replace(ANSWERS, modules=modules))

    assert isinstance(refusal.value, Invalid)
    assert refusal.value.details["field"] == "modules"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project_name", ""),
        ("project_name", "   "),
        ("project_name", "x" * 10_000),
        ("project_name", "two\nlines"),
        ("project_name", "bell\x07"),
        ("project_slug", ""),
        ("project_slug", "../escape"),
        ("project_slug", "Books"),
        ("project_slug", "books\n"),
        ("project_slug", "x" * 10_000),
        ("project_description", "nul \x00"),
        ("project_description", "escape \x1b[2J"),
        ("project_description", "c1 \x9b"),
        ("project_description", "half a pair \ud83d"),
        ("project_description", "x" * 20_001),
    ],
)
def test_unusable_answer_is_refused_by_the_name_of_its_field(tmp_path: Path, field: str, value: str) -> None:
    with pytest.raises(templating.TemplateAnswerInvalid, match=field) as refusal:
        templating.render(tmp_path / "p", answers=replace(ANSWERS, **{field: value}))

    assert refusal.value.details == {"field": field}
    assert list(tmp_path.iterdir()) == []


def test_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()

    templating.render(tmp_path / "p", answers=ANSWERS)

    assert (tmp_path / "p" / "project.yaml").is_file()


def test_directory_with_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mine").write_text("x")

    with pytest.raises(templating.TemplateDestinationTaken) as refusal:
        templating.render(tmp_path / "p", answers=ANSWERS)

    assert isinstance(refusal.value, Conflict)
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_full_disk_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    def write_until_full(_source: str, project: Path, **_options: object) -> None:
        project.mkdir()
        (project / "half").write_text("made")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Unavailable) as refusal:
        templating.render(tmp_path / "p", answers=ANSWERS, run_copy=write_until_full)

    assert refusal.value.error_code == "disk_full"
    assert list(tmp_path.iterdir()) == []


def test_directory_filled_meanwhile_is_a_conflict(tmp_path: Path) -> None:
    def copy_slowly(_source: str, project: Path, **_options: object) -> None:
        project.mkdir()
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "theirs").write_text("x")

    with pytest.raises(templating.TemplateDestinationTaken):
        templating.render(tmp_path / "p", answers=ANSWERS, run_copy=copy_slowly)

    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Copier's open scandir
def test_broken_template_is_a_typed_failure_and_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "template"
    (broken / "project").mkdir(parents=True)
    (broken / "copier.yml").write_text((templating.TEMPLATE_DIRECTORY / "copier.yml").read_text())
    (broken / "project" / "README.md.jinja").write_text("{% if %}")
    (tmp_path / "out").mkdir()

    def copy_broken(_source: str, project: Path, **options: Any) -> None:
        copier.run_copy(str(broken), project, **options)

    with pytest.raises(templating.TemplateFailed, match="could not be rendered"):
        templating.render(tmp_path / "out" / "p", answers=ANSWERS, run_copy=copy_broken)

    assert list((tmp_path / "out").iterdir()) == []
