"""How GitHub is asked: to the last page, without paying for what has not changed."""

import logging
import threading

import pytest
import requests
from github.Requester import Requester

from apps.projects.forge import base, hosting
from apps.projects.forge.github.app import scope
from apps.projects.forge.github.transport import Request, Transport
from tests.apps.projects.forge.github.conftest import PULL, SPEC
from tests.apps.projects.forge.github.scripted import REPOSITORY, client_of, forge_of, said

pytestmark = pytest.mark.service

NEXT = "https://host.example/api/v3/repositories/77/actions/secrets?page={}"


def page(number: int, last: int) -> object:
    link = {"link": f'<{NEXT.format(1)}>; rel="first", <{NEXT.format(number + 1)}>; rel="next"'}
    return said(200, {"secrets": [{"name": f"S{number}"}]}, **(link if number < last else {}))


def test_listing_is_read_to_its_end():
    answers = {f"GET {NEXT.format(number)}": page(number, 3) for number in (2, 3)}
    forge, transport = forge_of({"GET /actions/secrets": page(1, 3), **answers})

    assert forge.list_secrets(REPOSITORY) == {"S1", "S2", "S3"}
    assert [request.parameters for request in transport.asked] == [{"per_page": "100"}, {}, {}]


def test_listing_without_an_end_is_an_error():
    endless = said(200, {"secrets": []}, link=f'<{NEXT.format(2)}>; rel="next"')
    forge, transport = forge_of({"GET /actions/secrets": endless, f"GET {NEXT.format(2)}": endless})

    with pytest.raises(base.ForgeUnavailable):
        forge.list_secrets(REPOSITORY)

    assert len(transport.asked) == 50


def test_page_that_fails_fails_the_listing():
    forge, _ = forge_of({"GET /actions/secrets": page(1, 2), f"GET {NEXT.format(2)}": said(502)})

    with pytest.raises(base.ForgeUnavailable):
        forge.list_secrets(REPOSITORY)


@pytest.mark.parametrize("data", [None, [], {"secrets": None}, {"secrets": ["x"]}, "text"])
def test_listing_of_another_form_is_an_error_and_not_empty(data):
    forge, _ = forge_of({"GET /actions/secrets": said(200, data)})

    with pytest.raises(base.ForgeUnavailable):
        forge.list_secrets(REPOSITORY)


def test_unchanged_answer_is_remembered_and_costs_nothing(github, connect, source):
    forge = connect()
    repository = forge.ensure_repository(SPEC)
    first = source.commit_files({"README.md": b"Books\n"})
    work = source.commit_files({"README.md": b"More\n"}, first)
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    forge.push(repository, source=source.path, sha=work, branch="task/1", expected=None)
    pull = forge.open_pull_request(repository, PULL)
    for _ in range(3):
        settled = forge.read_pull_request(repository, pull.number)
    ours, theirs = forge.limits.used, github.stage.used

    again = [connect().read_pull_request(repository, pull.number) for _ in range(5)]

    assert again == [settled] * 5
    assert (forge.limits.used, github.stage.used) == (ours, theirs)


def test_changed_answer_is_read_anew(forge, repository, source):
    first = source.commit_files({"README.md": b"Books\n"})
    works = [source.commit_files({"README.md": text}, first) for text in (b"More\n", b"Most\n")]
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    forge.push(repository, source=source.path, sha=works[0], branch="task/1", expected=None)
    pull = forge.open_pull_request(repository, PULL)
    seen = forge.read_pull_request(repository, pull.number).head_sha

    forge.push(repository, source=source.path, sha=works[1], branch="task/1", expected=works[0])

    assert [seen, forge.read_pull_request(repository, pull.number).head_sha] == works


def test_primary_limit_pauses_every_process(github, connect, repository):
    github.stage.limit_after(0, seconds=30)

    with pytest.raises(hosting.ForgeRateLimited) as refused:
        connect().list_secrets(repository)
    with github.stage.counting() as calls, pytest.raises(hosting.ForgeRateLimited) as paused:
        connect().read_pull_request(repository, 1)

    assert 25 <= refused.value.details["retry_after"] <= 33
    assert paused.value.details["limit"] == "host"
    assert calls == {}


def test_secondary_limit_is_over_when_the_host_said(github, forge, repository):
    forge.list_secrets(repository)
    github.stage.limit_after(0, secondary=True, seconds=1)

    with pytest.raises(hosting.ForgeRateLimited) as refused:
        forge.list_secrets(repository)
    assert refused.value.details["retry_after"] <= 2

    threading.Event().wait(2.2)
    assert forge.list_secrets(repository) == frozenset()


def test_own_budget_keeps_us_from_asking(github, connect):
    forge = connect(hourly_budget=3)
    repository = forge.ensure_repository(SPEC)

    with github.stage.counting() as calls, pytest.raises(hosting.ForgeRateLimited) as refused:
        forge.list_secrets(repository)

    assert refused.value.details["limit"] == "budget"
    assert calls == {}


def test_broken_answers_are_unavailable(github, forge, repository):
    forge.list_secrets(repository)
    github.stage.fail(1, status=502)

    with pytest.raises(base.ForgeUnavailable):
        forge.list_secrets(repository)

    assert forge.list_secrets(repository) == frozenset()


def test_token_that_the_host_does_not_know_everywhere_yet_is_asked_with_again(github, forge, repository):
    forge.list_secrets(repository)
    github.stage.fail(2, status=401, calls="GET .*/secrets")

    with pytest.raises(base.ForgeUnavailable):
        forge.list_secrets(repository)

    assert forge.list_secrets(repository) == frozenset()


def test_host_that_went_away_is_unavailable_for_git_too(connect, repository, github):
    forge = connect(api_url="http://127.0.0.1:1/api/v3")

    class Given:
        def get(self, scope: object) -> str:
            return "token"

        def forget(self, scope: object, token: str) -> None:
            """Nothing to forget."""

    object.__setattr__(forge._client, "tokens", Given())

    with pytest.raises(base.ForgeUnavailable):
        forge.head(repository, "main")


def test_lacking_permission_of_a_call_is_named_from_the_header():
    answer = said(
        403,
        {"message": "Resource not accessible by integration"},
        x_accepted_github_permissions="secrets=read",
    )
    forge, _ = forge_of({"GET /actions/secrets": answer})

    with pytest.raises(hosting.ForgeForbidden) as refused:
        forge.list_secrets(REPOSITORY)

    assert refused.value.details["permission"] == "secrets: read"


def test_answer_that_is_no_json_is_unavailable(monkeypatch):
    monkeypatch.setattr(Requester, "requestJson", lambda *_: (200, {}, "<html>"))

    with pytest.raises(base.ForgeUnavailable):
        Transport("https://host.example/api/v3").send(Request("GET", "/x"))


def test_page_of_a_proxy_is_not_repeated(monkeypatch):
    monkeypatch.setattr(Requester, "requestJson", lambda *_: (502, {}, "<html>"))

    answer = Transport("https://host.example/api/v3").send(Request("GET", "/x"))

    assert (answer.status, answer.data) == (502, None)


@pytest.mark.parametrize(
    "error",
    [requests.ConnectionError("https://user:secret@host"), requests.Timeout(), RuntimeError("elsewhere")],
)
def test_network_errors_say_nothing_secret(error, monkeypatch):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Requester, "requestJson", fail)

    with pytest.raises(base.ForgeUnavailable) as refused:
        Transport("https://host.example/api/v3").send(Request("GET", "/x"))

    assert "secret" not in refused.value.message


def test_requests_are_logged_without_bodies():
    Transport("https://host.example/api/v3")._requester()

    assert not logging.getLogger("github.Requester").isEnabledFor(logging.DEBUG)


def test_threads_do_not_share_a_connection():
    transport, found = Transport("https://host.example/api/v3"), []
    threads = [threading.Thread(target=lambda: found.append(transport._requester())) for _ in range(2)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert found[0] is not found[1]
    assert transport._requester() is transport._requester()


def test_next_page_is_found_among_other_relations():
    answer = said(200, [], link='<https://h/a?page=1>; rel="prev", <https://h/a?page=3>; rel="next"')

    assert answer.next_page == "https://h/a?page=3"
    assert said(200, [], link='<https://h/a?page=1>; rel="prev"').next_page is None


def test_scope_is_the_same_in_any_order():
    assert scope(1, contents="read", actions="write") == scope(1, actions="write", contents="read")


def test_remembered_answer_is_of_one_address_and_query():
    client = client_of(None)
    client.remembered.store("/a", {"x": "1"}, said(200, {"n": 1}, etag='"e"'))
    client.remembered.store("/b", {}, said(200, {"n": 2}))
    client.remembered.store("/c", {}, said(200, {"n": "x" * 10}, etag='"e"'))

    assert client.remembered.find("/a", {"x": "1"}).data == {"n": 1}
    assert client.remembered.find("/a", {"x": "2"}) is None
    assert client.remembered.find("/b", {}) is None
