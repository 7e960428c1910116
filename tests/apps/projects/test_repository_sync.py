"""What a git host lists, and what becomes of our rows by it."""

from typing import Any

import pytest

from apps.infra.models import Incident
from apps.periodic.models import PeriodicJob
from apps.periodic.recording import Run
from apps.projects import repository_sync, tasks
from apps.projects.forge.base import Forge, ForgeUnavailable
from apps.projects.forge.listing import ListedRepository
from apps.projects.models import HostedRepository, Project
from tests.factories import make_project

pytestmark = [pytest.mark.service, pytest.mark.django_db]


class Listing(Forge):
    """A host that can only be asked for its list."""

    def __init__(self, *repositories: ListedRepository) -> None:
        self.repositories = list(repositories)
        self.is_away = False

    def list_repositories(self) -> list[ListedRepository]:
        if self.is_away:
            raise ForgeUnavailable("GitHub does not answer")
        return self.repositories


def listed(number: str = "7", name: str = "books", **fields: Any) -> ListedRepository:
    known = {"id": number, "name": name, "url": f"https://github.example/acme/{name}", "project_id": None}
    return ListedRepository(**{**known, **fields})


def make_books(number: str = "7", **fields: Any) -> Project:
    project = make_project(status="active", slug="books", forge="github", repository_id=number, **fields)
    Project.objects.filter(pk=project.pk).update(repository_url="https://github.example/acme/books")
    return project.reload()


def sync(host: Listing, times: int = 1) -> Run:
    for _ in range(times):
        run = Run("github_sync")
        repository_sync.sync_forge(host, name="github", run=run)
    return run


def states() -> list[tuple[str, str, bool]]:
    rows = HostedRepository.objects.order_by("repository_id")
    return [(row.name, row.status, row.project_id is not None) for row in rows]


def incidents() -> list[tuple[str, str]]:
    return list(Incident.objects.order_by("pk").values_list("kind", "status"))


def test_repository_of_a_project_is_known() -> None:
    make_books()

    run = sync(Listing(listed()))

    assert states() == [("books", "listed", True)]
    assert (run.counts["listed"], run.counts["unknown"], run.failed) == (1, 0, 0)


def test_unknown_repository_is_told_of_and_nothing_else_happens() -> None:
    before = Project.objects.count()

    run = sync(Listing(listed("8", "stray")))

    assert states() == [("stray", "listed", False)]
    assert (run.counts["unknown"], Project.objects.count(), incidents()) == (1, before, [])


def test_unknown_repository_that_is_gone_is_forgotten() -> None:
    host = Listing(listed("8", "stray"))
    sync(host)
    host.repositories = []

    sync(host, times=2)
    before = states()
    sync(host)

    assert (before, states()) == ([("stray", "listed", False)], [])


def test_unknown_repository_becomes_known_with_its_project() -> None:
    host = Listing(listed())
    sync(host)
    make_books()

    sync(host)

    assert states() == [("books", "listed", True)]


def test_renamed_repository_is_followed_by_its_address() -> None:
    project = make_books()
    sync(Listing(listed()))

    run = sync(Listing(listed(name="library")))

    assert (run.counts["renamed"], states()) == (1, [("library", "listed", True)])
    assert project.reload().repository_url == "https://github.example/acme/library"
    assert project.slug == "books"


def test_vanished_repository_is_missing_after_three_listings_and_finds_its_way_back() -> None:
    project, host = make_books(), Listing()

    sync(host, times=2)
    early = (states(), incidents())
    sync(host, times=2)
    late = (states(), incidents())
    host.repositories = [listed()]
    run = sync(host)

    assert early == ([("books", "listed", True)], [])
    assert late == ([("books", "missing", True)], [("repository_missing", "open")])
    assert (run.counts["returned"], states()) == (1, [("books", "listed", True)])
    assert incidents() == [("repository_missing", "resolved")]
    assert HostedRepository.objects.get().missing_since is None
    assert project.reload().status == "active"


def test_another_repository_under_the_old_name_is_not_the_old_one() -> None:
    make_books()
    host = Listing(listed("9", "books"))

    sync(host, times=3)

    assert states() == [("books", "missing", True), ("books", "listed", False)]


def test_failed_listing_misses_nobody() -> None:
    make_books()
    host = Listing(listed())
    sync(host)
    host.is_away = True

    run = sync(host, times=4)

    assert run.failed == 1
    assert run.errors[0]["error"].startswith("forge_unavailable")
    assert HostedRepository.objects.get().missed_listings == 0


def test_listing_that_names_it_between_misses_begins_anew() -> None:
    make_books()
    host = Listing()

    sync(host, times=2)
    sync(Listing(listed()))
    sync(host, times=2)

    assert states() == [("books", "listed", True)]


def test_archiving_the_project_of_a_vanished_repository_ends_what_was_told() -> None:
    project, host = make_books(), Listing()
    sync(host, times=3)
    told = incidents()

    Project.transition(project.pk, to="archived")
    sync(host, times=2)

    assert (told, incidents()) == ([("repository_missing", "open")], [("repository_missing", "resolved")])
    assert HostedRepository.objects.get().missing_since is None


def test_archived_project_is_not_missed() -> None:
    project, host = make_books(), Listing(listed())
    sync(host)
    Project.transition(project.pk, to="archived")
    host.repositories = []

    sync(host, times=4)

    assert (states(), incidents()) == ([("books", "listed", True)], [])


def test_one_that_cannot_be_written_stops_nobody_else() -> None:
    make_books()

    run = sync(Listing(listed("\0", "bad"), listed()))

    assert (run.failed, states()) == (1, [("books", "listed", True)])


def test_a_message_whose_answer_was_lost_is_told_again() -> None:
    project, host = make_books(), Listing()
    sync(host, times=3)
    # The process died after the row came back, and before anybody was told.
    HostedRepository.objects.update(status="listed")
    host.repositories = [listed()]

    sync(host)

    assert incidents() == [("repository_missing", "resolved")]
    assert project.reload().status == "active"


def test_periodic_job_leaves_a_record_and_asks_no_forge_that_was_never_used() -> None:
    tasks.sync_repositories()

    job = PeriodicJob.objects.get(name="github_sync")
    assert (job.last_outcome, job.last_errors) == ("succeeded", [])
