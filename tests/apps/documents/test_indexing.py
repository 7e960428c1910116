"""Documents follow the heads of projects: read once, searched, summarised, given up in the end."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from apps.documents import composition, indexing, receivers, summarising
from apps.documents.language_models import ModelUnavailable
from apps.documents.models import Document, DocumentIndex
from apps.documents.selectors import Search
from apps.documents.tasks import read_project, summarize_documents
from apps.projects.forge.base import RepositorySpec
from apps.projects.forge.local import LocalForge
from apps.projects.models import Project, ProjectStatus
from apps.projects.tools import Tools
from tests.apps.projects.rig import DownForge
from tests.factories import make_merge_request, make_project, make_secret, make_task, make_user
from tests.fakes_forge import GitSource

pytestmark = [pytest.mark.service, pytest.mark.django_db]

LONG = "# Lending\n\n" + "The library lends books to its members for three weeks. " * 60


@dataclass
class Shelf:
    """A project with a repository whose head moves when it is told so."""

    place: Path
    forge: LocalForge
    project: Project = field(default_factory=lambda: make_project(status=ProjectStatus.ACTIVE))

    def __post_init__(self) -> None:
        self.source = GitSource(self.place / "source.git")
        spec = RepositorySpec(project_id=str(self.project.pk), name=self.project.slug)
        self.repository = self.forge.ensure_repository(spec)
        Project.objects.filter(pk=self.project.pk).update(repository_id=self.repository.id)
        self.head: str | None = None

    def push(self, files: dict[str, Any]) -> str:
        sha = self.source.commit_files(files, *([self.head] if self.head else []))
        self.forge.push(self.repository, source=self.source.path, sha=sha, branch="main", expected=self.head)
        Project.objects.filter(pk=self.project.pk).update(head_sha=sha)
        self.head = sha
        return sha

    def read(self, *, forge: Any = None, later: timedelta = timedelta(0)) -> bool:
        tools = Tools(
            forge=forge or self.forge, scratch=self.place / "scratch", now=lambda: timezone.now() + later
        )
        return indexing.read_project(project_id=self.project.pk, tools=tools)

    @property
    def paths(self) -> set[str]:
        return set(Document.objects.filter(project=self.project).values_list("path", flat=True))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(place=tmp_path, forge=LocalForge(tmp_path / "forge"))


def test_documents_of_the_head_are_read_once(shelf: Shelf) -> None:
    sha = shelf.push({"README.md": b"# Books\n\nIt keeps books.", "docs/api.md": b"API", "main.py": b"pass"})

    assert shelf.read()
    assert not shelf.read()

    assert shelf.paths == {"README.md", "docs/api.md"}
    index = DocumentIndex.objects.get(project=shelf.project)
    assert (index.commit_sha, index.documents, index.left_out, index.problem) == (sha, 2, 0, "")
    assert Document.objects.get(path="README.md").title == "Books"


def test_moved_head_changes_what_changed_and_deletes_what_is_gone(shelf: Shelf) -> None:
    shelf.push({"README.md": b"# Books", "docs/a.md": b"# A", "docs/b.md": b"# B"})
    shelf.read()
    kept = Document.objects.get(path="README.md")

    shelf.push({"README.md": b"# Books", "docs/a.md": b"# A changed"})
    shelf.read()

    assert shelf.paths == {"README.md", "docs/a.md"}
    assert Document.objects.get(path="docs/a.md").title == "A changed"
    assert Document.objects.get(path="README.md").updated_at == kept.updated_at


def test_what_is_no_text_or_too_much_is_counted_not_read(shelf: Shelf) -> None:
    big = b"x" * (indexing.LIMITS.file_bytes + 1)
    files = {"bytes.md": b"\xff\xfe", "nul.md": b"a\0b", "big.md": big, "ok.md": b"# Ok"}
    shelf.push({**files, "link.md": ("120000", b"ok.md")})

    shelf.read()

    assert shelf.paths == {"ok.md"}
    assert DocumentIndex.objects.get().left_out == 3


def test_more_documents_than_the_limit_leave_the_deepest_out(shelf: Shelf) -> None:
    many = {f"docs/{number:03}.md": b"# N" for number in range(indexing.LIMITS.files + 5)}
    shelf.push({**many, "README.md": b"# Books"})

    shelf.read()

    assert len(shelf.paths) == indexing.LIMITS.files
    assert "README.md" in shelf.paths
    assert DocumentIndex.objects.get().left_out == 6


def test_secret_of_the_project_is_masked(shelf: Shelf) -> None:
    make_secret(project=shelf.project, key="API_KEY", value="sesame-open-wide")
    shelf.push({"README.md": b"Use sesame-open-wide as the key of the service."})

    shelf.read()

    document = Document.objects.get()
    assert "sesame" not in document.text + document.summary + document.title


def test_absent_git_host_is_asked_again_and_in_the_end_no_more(shelf: Shelf) -> None:
    shelf.push({"README.md": b"# Books"})

    pauses = [shelf.read(forge=DownForge(), later=timedelta(minutes=2 * n)) for n in range(20)]

    index = DocumentIndex.objects.get()
    assert not any(pauses)
    assert (index.attempts, index.commit_sha) == (indexing.MAX_ATTEMPTS, "")
    assert index.problem
    assert not shelf.read(later=timedelta(hours=2))

    shelf.push({"README.md": b"# Books again"})
    assert shelf.read(later=timedelta(hours=2))
    assert DocumentIndex.objects.get().problem == ""


def test_failed_attempt_is_not_repeated_at_once(shelf: Shelf) -> None:
    shelf.push({"README.md": b"# Books"})
    shelf.read(forge=DownForge())

    assert not shelf.read()
    assert shelf.read(later=timedelta(minutes=2))


def test_search_finds_inflected_words_of_both_languages_the_title_first(shelf: Shelf) -> None:
    shelf.push(
        {
            "a.md": "# Прочее\n\nЗдесь один раз упомянуты книги.".encode(),
            "b.md": "# Книги\n\nБиблиотека хранит книги и журналы.".encode(),
            "c.md": b"# Members\n\nMembers are reminded of lending periods.",
        }
    )
    shelf.read()

    russian = [row.path for row in Search(words="книгой").of(Document.objects.all())]
    english = list(Search(words="reminding").of(Document.objects.all()))

    assert russian == ["b.md", "a.md"]
    assert [row.path for row in english] == ["c.md"]
    assert "«reminded»" in english[0].passage


@pytest.mark.parametrize("words", ["'", '"', "a & b | !", "-", "\\", ":*", "<->", "книги OR OR", "%s"])
def test_search_takes_any_words(shelf: Shelf, words: str) -> None:
    shelf.push({"a.md": b"# A"})
    shelf.read()

    assert list(Search(words=words).of(Document.objects.all())) is not None


def test_head_that_moved_is_read_by_signal_and_by_sweep(
    shelf: Shelf, enqueued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    shelf.push({"README.md": b"# Books"})
    merged, refused = (
        make_merge_request(task=make_task(project=shelf.project), status=status)
        for status in ("merged", "refused")
    )

    with django_capture_on_commit_callbacks(execute=True):
        receivers.on_change(merge_request_id=merged.pk)
        receivers.on_change(merge_request_id=refused.pk)
        summarize_documents()

    assert enqueued == [("documents.read_project", {"project_id": str(shelf.project.pk)})] * 2


def test_task_reads_with_the_forge_of_the_project(shelf: Shelf, tmp_path: Path) -> None:
    shelf.push({"README.md": b"# Books"})

    with override_settings(FORGE_DIR=tmp_path / "forge"):
        read_project(project_id=str(shelf.project.pk))

    assert shelf.paths == {"README.md"}


class Model:
    """Counts what it is asked, and answers or not."""

    name = "small"

    def __init__(self, *, is_there: bool = True) -> None:
        self.asked: list[str] = []
        self._is_there = is_there

    def summarise(self, text: str) -> str:
        self.asked.append(text)
        if not self._is_there:
            raise ModelUnavailable
        return "Lends books."


def test_long_document_is_summarised_once_and_again_when_it_changed(shelf: Shelf) -> None:
    shelf.push({"long.md": LONG.encode(), "short.md": b"# Short"})
    shelf.read()
    model, now = Model(), timezone.now()

    for document in Document.objects.all():
        summarising.summarise_document(document_id=document.pk, model=model, now=now)
        summarising.summarise_document(document_id=document.pk, model=model, now=now)

    document = Document.objects.get(path="long.md")
    assert (document.summary, document.summary_kind, document.summary_model) == (
        "Lends books.",
        "model",
        "small",
    )
    assert len(model.asked) == 1

    shelf.push({"long.md": LONG.replace("weeks", "months").encode()})
    shelf.read()
    assert Document.objects.get(path="long.md").summary_kind == "extractive"
    assert summarising.summarise_document(document_id=document.pk, model=model, now=now)


def test_absent_model_costs_a_bounded_number_of_attempts(shelf: Shelf) -> None:
    shelf.push({"long.md": LONG.encode()})
    shelf.read()
    model, document = Model(is_there=False), Document.objects.get()

    for hour in range(10):
        moment = timezone.now() + timedelta(hours=hour)
        summarising.summarise_document(document_id=document.pk, model=model, now=moment)

    assert len(model.asked) == summarising.MAX_ATTEMPTS
    assert Document.objects.get().summary.startswith("The library lends books")


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        ("", "", ""),
        ("anthropic/claude-small", "sk-key", ""),
        ("anthropic/claude-small", "", "ANTHROPIC_API_KEY"),
        ("claude-small", "sk-key", "anthropic/MODEL"),
        ("anthropic/", "sk-key", "anthropic/MODEL"),
    ],
)
def test_settings_of_summaries_are_checked(model: str, key: str, words: str) -> None:
    with override_settings(DOCUMENTS_SUMMARY_MODEL=model, ANTHROPIC_API_KEY=key):
        problems = composition.check_settings()
        summariser = composition.get_summariser()

    assert [words in problem.msg for problem in problems] == ([True] if words else [])
    assert (summariser is not None) == (bool(model) and not words)


def test_api_shows_documents_to_those_who_may_see_the_project(shelf: Shelf) -> None:
    shelf.push({"README.md": b"# Books\n\nIt lends books to members.", "docs/b.md": b"# Boats"})
    shelf.read()
    owner, stranger = APIClient(), APIClient()
    owner.force_authenticate(shelf.project.owner)
    stranger.force_authenticate(make_user())

    found = owner.get("/api/documents/", {"search": "book", "project_id": str(shelf.project.pk)}).json()
    listed = owner.get(f"/api/projects/{shelf.project.pk}/documents/").json()
    text = owner.get(f"/api/documents/{found['results'][0]['id']}/").json()

    assert [row["path"] for row in found["results"]] == ["README.md"]
    assert "«Books»" in found["results"][0]["passage"] or "«books»" in found["results"][0]["passage"]
    assert {row["path"] for row in listed["results"]} == {"README.md", "docs/b.md"}
    assert text["text"].startswith("# Books")
    assert stranger.get("/api/documents/", {"search": "book"}).json()["results"] == []
    assert stranger.get(f"/api/documents/{text['id']}/").status_code == 404
    assert stranger.get(f"/api/projects/{shelf.project.pk}/documents/").status_code == 404
    assert owner.get("/api/documents/", {"serch": "book"}).status_code == 400
