"""The HTTP server: reads requests, finds who answers, writes answers as GitHub does; ends by itself."""

import contextlib
import gzip
import shutil
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from tests.github_server import (
    access,
    actions,
    checks,
    deployments,
    git_data,
    git_http,
    logs,
    protection,
    pulls,
    repositories,
    routing,
    secret_store,
)
from tests.github_server.runner import Runner
from tests.github_server.wire import Answer, Refusal, Request, etag_of, not_found
from tests.github_server.world import GitHub
from tests.http_double import DoubleHandler, DoubleServer

PREFIX = "/api/v3"
#: Each registers its endpoints when it is imported.
ENDPOINTS = (access, actions, checks, deployments, git_data, protection, pulls, repositories, secret_store)


class _Server(DoubleServer):
    def __init__(self, github: GitHub) -> None:
        self.github = github
        super().__init__(_Handler)


class _Handler(DoubleHandler):
    server: _Server

    def do_any(self) -> None:
        """Answer any method."""
        body = self.read_body()
        try:
            answer = self._answer(body)
        except Refusal as refusal:
            answer = refusal.answer()
        self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

    def _answer(self, body: bytes) -> Answer:
        github = self.server.github
        url = urllib.parse.urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if url.path.startswith(PREFIX):
            query = dict(urllib.parse.parse_qsl(url.query))
            path = urllib.parse.unquote(url.path.removeprefix(PREFIX)) or "/"
            return call(github, Request(self.command, path, query, headers, body, github.base_url))
        if url.path.startswith("/_blobs/"):
            return logs.open_blob(github, url.path.rpartition("/")[2], headers)
        if url.path.startswith("/_internal/pre-receive/"):
            number = int(url.path.rpartition("/")[2])
            words = git_http.refuse_push(github, number, headers, body)
            return Answer(200) if words is None else Answer(422, raw=[f"{words}\n".encode()])
        if url.path.endswith(("/info/refs", "/git-upload-pack", "/git-receive-pack")):
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
                headers["content-encoding"] = ""
            return git_http.serve(github, self.command, url.path, url.query, headers, body)
        raise not_found()

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.raw is not None:
            self.send_header("Connection", "close")
            self.end_headers()
            for part in answer.raw:
                self.wfile.write(part)
            self.close_connection = True
            return
        payload = answer.payload()
        if answer.status not in (204, 304):
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if answer.status not in (204, 304):
            self.wfile.write(payload)


def call(github: GitHub, request: Request) -> Answer:
    """Answer one call of the API, counted and within its limits."""
    request.path = _by_name(github, request.path)
    found = routing.find(request.method, request.path)
    if "user-agent" not in request.headers:
        raise Refusal(403, "Request forbidden by administrative rules. Please send a User-Agent header.")
    if found is None:
        github.complaints.append(f"There is no endpoint {request.method} {request.path} in this double")
        raise not_found()
    route, request.params = found
    try:
        github.stage.admit(route.name)
        if github.stage.tokens_last_calls and github.stage.used % github.stage.tokens_last_calls == 0:
            github.expire_tokens()
        with github.lock:
            access.authorize(github, request, route.needs)
            answer = route.handler(github, request)
    except Refusal as refusal:
        answer = refusal.answer()
    if request.method == "GET" and answer.status == 200 and answer.raw is None:
        answer = _conditional(github, request, answer)
    if request.token is None or not request.token.is_job:
        answer.headers = {**github.stage.rate_headers(), **answer.headers}
    answer.headers["X-GitHub-Media-Type"] = "github.v3; format=json"
    return answer


def _by_name(github: GitHub, path: str) -> str:
    """Return the path of a repository by name for one by id."""
    first, _, rest = path.removeprefix("/repositories/").partition("/")
    if not path.startswith("/repositories/") or not rest or not first.isdigit():
        return path
    repository = github.by_id(int(first))
    return f"/repos/{repository.full_name}/{rest}" if repository else path


def _conditional(github: GitHub, request: Request, answer: Answer) -> Answer:
    tag = etag_of(answer.payload())
    if request.headers.get("if-none-match") == tag:
        github.stage.forgive()
        return Answer(304, headers={"ETag": tag})
    answer.headers = {**answer.headers, "ETag": tag, "Cache-Control": "private, max-age=60, s-maxage=60"}
    return answer


@contextlib.contextmanager
def github_server(*, org: str = "book-club") -> Iterator[GitHub]:
    """Run a GitHub on a free port of this machine until the block ends.

    Raises:
        AssertionError: at the end, if it was asked for something it cannot play (see `complaints`).

    """
    root = Path(tempfile.mkdtemp(prefix="github-double-", dir="/tmp"))
    root.chmod(0o711)
    github = GitHub(root, org=org)
    server = _Server(github)
    github.base_url = server.url
    github.runner = Runner(github, root / "runs")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="github-double", daemon=True)
    thread.start()
    try:
        yield github
    finally:
        github.runner.stop()
        github.webhooks.wait()
        server.shutdown()
        server.server_close()
        server.close_connections()
        thread.join(10)
        shutil.rmtree(root, ignore_errors=True)
    assert github.may_complain or github.complaints == [], "this GitHub was asked for what it cannot play"
