"""A template of another make serves as well: pinned, its answers and manifest mapped, nothing leaked."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from apps.projects import templating
from apps.projects.manifest import parse_manifest
from apps.projects.template_mapping import TemplateMapping, TemplateMappingInvalid, load_mapping
from apps.projects.template_source import (
    TemplateRefMissing,
    TemplateSource,
    TemplateSourceInvalid,
    TemplateSourceUnavailable,
)
from apps.projects.templating import TemplateAnswers
from tests.template import foreign

pytestmark = pytest.mark.unit

ANSWERS = TemplateAnswers(
    project_name="Книги: the shelf",
    project_slug="book-shelf",
    project_description="an inventory of books",
    modules=("backend", "telegram"),
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return foreign.make_repository(tmp_path / "their-template", foreign.FILES, tag="0.3.5")


@pytest.fixture
def mapping() -> TemplateMapping:
    return load_mapping(str(foreign.MAPPING_FILE))


@pytest.fixture
def source(repository: Path, mapping: TemplateMapping, tmp_path: Path) -> TemplateSource:
    return TemplateSource(location=str(repository), ref="0.3.5", mapping=mapping, cache=tmp_path / "cache")


def _with(source: TemplateSource, **changes: str) -> TemplateSource:
    values = {"location": source.location, "ref": source.ref} | changes
    return TemplateSource(**values, mapping=source.mapping, cache=source.cache)


def test_answers_are_given_in_the_words_of_the_template(source: TemplateSource, tmp_path: Path) -> None:
    rendered = templating.render(tmp_path / "p", answers=ANSWERS, source=source)

    services = yaml.safe_load((tmp_path / "p" / "services.yml").read_text())["services"]
    assert [service["name"] for service in services] == ["backend", "tg_bot"]
    assert services[0]["description"] == "book_shelf for Orchestrator"
    assert (tmp_path / "p" / "TASK.md").read_text() == "an inventory of books\n"
    assert rendered.template_version == "0.3.5"
    assert "project.yaml" in rendered.files


def test_missing_manifest_is_written_for_the_chosen_modules(source: TemplateSource, tmp_path: Path) -> None:
    answers = TemplateAnswers(**{**_fields(ANSWERS), "modules": ("telegram",)})

    templating.render(tmp_path / "p", answers=answers, source=source)

    manifest = parse_manifest((tmp_path / "p" / "project.yaml").read_bytes())
    assert manifest.modules == ("telegram",)
    assert [(service.name, service.kind) for service in manifest.services] == [("tg-bot", "bot")]
    assert not (tmp_path / "p" / "services" / "backend").exists()


def _fields(answers: TemplateAnswers) -> dict[str, object]:
    return {name: getattr(answers, name) for name in TemplateAnswers.__dataclass_fields__}


def test_project_passes_the_commands_of_its_manifest(source: TemplateSource, tmp_path: Path) -> None:
    templating.render(tmp_path / "p", answers=ANSWERS, source=source)
    commands = parse_manifest((tmp_path / "p" / "project.yaml").read_bytes()).commands

    done = [
        subprocess.run(["sh", "-c", command], cwd=tmp_path / "p", capture_output=True, text=True, check=False)
        for command in (commands.setup, commands.check, commands.tests)
    ]

    assert [run.returncode for run in done] == [0, 0, 0]
    assert done[2].stdout.splitlines() == [
        "services/backend/tests/test_app.py::test_health_tells_the_name",
        "services/backend/tests/test_app.py::test_unknown_path_is_not_found",
        "services/tg_bot/tests/test_bot.py::test_start_greets",
    ]


def test_answers_file_names_the_source_and_ref_but_no_path(source: TemplateSource, tmp_path: Path) -> None:
    templating.render(tmp_path / "p", answers=ANSWERS, source=source)

    text = (tmp_path / "p" / ".copier-answers.yml").read_text()
    recorded = yaml.safe_load(text)
    assert (recorded["_src_path"], recorded["_commit"]) == ("template:their-template", "0.3.5")
    assert recorded["modules"] == "backend,tg_bot"
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    "location",
    [
        "https://user@git.example/t.git",
        "https://us%40er:p@ss@git.example/t.git",
        "https://git.example/t.git?token=secret#x",
    ],
)
def test_no_part_of_a_credential_is_recorded_or_shown(location: str, tmp_path: Path) -> None:
    source = TemplateSource(location=location, ref="1", cache=tmp_path)

    assert source.public_name == "https://git.example/t.git"
    assert location not in repr(source)


def test_name_and_password_reach_git_by_its_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = shutil.which("git"), tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *" fetch "*) echo "$@" > {tmp_path}/words; env > {tmp_path}/env; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    source = TemplateSource(location="https://ann:p%40ss@git.example/t.git", ref="1", cache=tmp_path / "c")

    with pytest.raises(TemplateSourceUnavailable):
        source.files()

    assert "https://git.example/t.git" in (tmp_path / "words").read_text()
    assert "p%40ss" not in (tmp_path / "words").read_text()
    header = f"Authorization: Basic {base64.b64encode(b'ann:p@ss').decode()}"
    assert f"GIT_CONFIG_VALUE_0={header}" in (tmp_path / "env").read_text()


def test_two_renderings_are_identical(source: TemplateSource, tmp_path: Path) -> None:
    for name in ("one", "two"):
        templating.render(tmp_path / name, answers=ANSWERS, source=source)

    contents = [
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    ]
    assert contents[0] == contents[1]


def test_pinned_ref_is_used_though_the_template_moved_on(
    source: TemplateSource, repository: Path, tmp_path: Path
) -> None:
    foreign.commit(repository, {"template/NEW.md": "new"}, tag="0.4.0")

    old = templating.render(tmp_path / "old", answers=ANSWERS, source=source)
    new = templating.render(tmp_path / "new", answers=ANSWERS, source=_with(source, ref="0.4.0"))

    assert "NEW.md" not in old.files
    assert "NEW.md" in new.files


def test_full_commit_is_a_pinned_ref(source: TemplateSource, repository: Path, tmp_path: Path) -> None:
    sha = foreign.git(repository, "rev-parse", "HEAD")

    rendered = templating.render(tmp_path / "p", answers=ANSWERS, source=_with(source, ref=sha))

    assert rendered.template_version == sha


def test_template_is_fetched_once(source: TemplateSource, repository: Path, tmp_path: Path) -> None:
    templating.render(tmp_path / "p", answers=ANSWERS, source=source)
    repository.rename(tmp_path / "gone")
    repository.mkdir()
    (repository / ".git").mkdir()

    rendered = templating.render(tmp_path / "q", answers=ANSWERS, source=source)

    assert "services.yml" in rendered.files


@pytest.mark.parametrize("ref", ["9.9.9", "f" * 40])
def test_missing_ref_is_named(source: TemplateSource, tmp_path: Path, ref: str) -> None:
    with pytest.raises(TemplateRefMissing, match=ref):
        templating.render(tmp_path / "p", answers=ANSWERS, source=_with(source, ref=ref))

    assert not (tmp_path / "p").exists()
    assert list(source.cache.iterdir()) == []


@pytest.mark.parametrize("ref", ["", "--upload-pack=x", "a..b", "x" * 41])
def test_ref_that_is_none_is_refused(source: TemplateSource, tmp_path: Path, ref: str) -> None:
    with pytest.raises(TemplateSourceInvalid, match="SCAFFOLD_TEMPLATE_REF"):
        templating.render(tmp_path / "p", answers=ANSWERS, source=_with(source, ref=ref))


def test_branch_is_no_pinned_ref(source: TemplateSource, tmp_path: Path) -> None:
    with pytest.raises(TemplateRefMissing, match="main"):
        templating.render(tmp_path / "p", answers=ANSWERS, source=_with(source, ref="main"))


def test_location_that_is_nothing_is_refused(source: TemplateSource, tmp_path: Path) -> None:
    with pytest.raises(TemplateSourceInvalid, match="SCAFFOLD_TEMPLATE"):
        templating.render(
            tmp_path / "p", answers=ANSWERS, source=_with(source, location=str(tmp_path / "no"))
        )


def test_repository_that_does_not_answer_may_answer_later(source: TemplateSource, tmp_path: Path) -> None:
    away = _with(source, location=f"file://{tmp_path}/nothing-here.git")

    with pytest.raises(TemplateSourceUnavailable):
        templating.render(tmp_path / "p", answers=ANSWERS, source=away)


def test_plain_directory_serves_too(source: TemplateSource, repository: Path, tmp_path: Path) -> None:
    (repository / ".git").rename(tmp_path / "was-git")

    rendered = templating.render(tmp_path / "p", answers=ANSWERS, source=_with(source, ref=""))

    assert rendered.template_version == "unversioned"
    assert str(tmp_path) not in (tmp_path / "p" / ".copier-answers.yml").read_text()


def test_module_without_a_word_of_the_template_is_refused(source: TemplateSource, tmp_path: Path) -> None:
    answers = TemplateAnswers(**{**_fields(ANSWERS), "modules": ("backend", "worker")})

    with pytest.raises(templating.TemplateUnknownModule, match="worker"):
        templating.render(tmp_path / "p", answers=answers, source=source)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Copier's open scandir
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("template/zz.md.jinja", "{{ nothing.at.all }}", "could not be rendered"),
        ("template/zz.md.jinja", "{{ 1 / 0 }}", "could not be rendered: division by zero"),
        ("template/where.md.jinja", "{{ _copier_conf.src_path }}", r"path of this machine into where\.md"),
        ("template/here.md.jinja", "{{ _copier_conf.dst_path }}", r"path of this machine into here\.md"),
        ("copier.yml", foreign.QUESTIONS + "\n_tasks: [touch owned]\n", "could not be rendered"),
        ("copier.yml", foreign.QUESTIONS.replace(": .copier-", ": /tmp/"), "could not be rendered"),
    ],
    ids=[
        "fails in the middle",
        "divides by zero",
        "writes its source",
        "writes its destination",
        "wants to run commands",
        "writes its answers elsewhere",
    ],
)
def test_faulty_template_is_a_typed_failure_and_leaves_nothing(
    source: TemplateSource, repository: Path, tmp_path: Path, name: str, text: str, message: str
) -> None:
    foreign.commit(repository, {name: text}, tag="0.5.0")
    (tmp_path / "out").mkdir()

    with pytest.raises(templating.TemplateFailed, match=message):
        templating.render(tmp_path / "out" / "p", answers=ANSWERS, source=_with(source, ref="0.5.0"))

    assert list((tmp_path / "out").iterdir()) == []


def test_link_that_leads_out_of_the_template_is_refused(
    source: TemplateSource, repository: Path, tmp_path: Path
) -> None:
    (repository / "template" / "passwords").symlink_to("/etc/passwd")
    foreign.commit(repository, {}, tag="0.6.0")

    with pytest.raises(TemplateSourceInvalid, match="passwords"):
        templating.render(tmp_path / "p", answers=ANSWERS, source=_with(source, ref="0.6.0"))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("answers: {a: {from: nothing}}", "answers.a"),
        ("answers: {a: {from: name, value: x}}", "answers.a"),
        ("answers: {a: {from: name, join: ','}}", "answers.a"),
        ("answers: 7", "answers"),
        ("surprise: 1", "surprise"),
        ("answers: {a: {from: name, rename: {backend: b}}}", "answers.a"),
        ("answers: {a: [1]}", "answers.a"),
        ("answers: [", "neither YAML nor JSON"),
    ],
)
def test_wrong_table_is_refused_by_its_field(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "table.yaml").write_text(text)

    with pytest.raises(TemplateMappingInvalid, match=field):
        load_mapping(str(tmp_path / "table.yaml"))


def test_absent_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateMappingInvalid, match="cannot be read"):
        load_mapping(str(tmp_path / "absent.yaml"))


def test_without_a_table_our_own_questions_are_asked(tmp_path: Path) -> None:
    ours = TemplateSource(
        location=str(templating.TEMPLATE_DIRECTORY), ref="", cache=tmp_path, mapping=load_mapping("")
    )

    rendered = templating.render(tmp_path / "p", answers=ANSWERS, source=ours)

    assert {"app/main.py", "bot/handlers.py"} <= set(rendered.files)


def test_table_may_be_given_as_json() -> None:
    table = {"answers": {"slug": {"from": "slug_underscore"}, "year": 2026, "is_open": True}}

    mapping = load_mapping(json.dumps(table))

    assert mapping.data({"slug_underscore": "a_b"}) == {"slug": "a_b", "year": 2026, "is_open": True}


def test_links_that_lead_in_a_circle_are_refused(
    source: TemplateSource, repository: Path, tmp_path: Path
) -> None:
    (repository / "template" / "a").symlink_to("b")
    (repository / "template" / "b").symlink_to("a")
    foreign.commit(repository, {}, tag="0.8.0")

    with pytest.raises(TemplateSourceInvalid, match="leads nowhere"):
        templating.render(tmp_path / "p", answers=ANSWERS, source=_with(source, ref="0.8.0"))
