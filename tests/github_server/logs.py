"""Endpoints of logs: a redirect to an address that wants no credential, as the real one's storage is."""

import secrets
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from tests.github_server import runs
from tests.github_server.actions import find_run
from tests.github_server.routing import route
from tests.github_server.state import JobState, Run
from tests.github_server.wire import Answer, Refusal, Request, not_found

PART = 65_536
Content = Callable[[], Iterator[bytes]]


def _redirect(github: Any, request: Request, content: Content) -> Answer:
    key = secrets.token_urlsafe(24)
    github.blobs[key] = content
    # Another host than the API's, so that a client that passes its credential on is caught.
    base = request.base_url.replace("127.0.0.1", "localhost")
    return Answer(302, headers={"Location": f"{base}/_blobs/{key}?sig={secrets.token_hex(8)}"})


def open_blob(github: Any, key: str, headers: Any) -> Answer:
    """Answer a redirected request; a credential beside the signature is refused as the storage does."""
    if "authorization" in headers:
        raise Refusal(400, "InvalidAuthenticationInfo: only one authentication mechanism is allowed")
    if key not in github.blobs:
        raise not_found()
    return Answer(200, raw=github.blobs[key]())


@route("GET", "/repos/{owner}/{repo}/actions/jobs/{job}", needs="actions=read")
def read_job(github: Any, request: Request) -> Answer:
    run, job = _find(request)
    return Answer(200, runs.show_job(request.base_url, request.repository, run, job))


def _find(request: Request) -> tuple[Run, JobState]:
    wanted = request.number("job")
    for run in request.repository.runs:
        for job in run.jobs:
            if job.id == wanted:
                return run, job
    raise not_found()


@route("GET", "/repos/{owner}/{repo}/actions/jobs/{job}/logs", needs="actions=read")
def read_job_log(github: Any, request: Request) -> Answer:
    _, job = _find(request)
    if job.status != "completed" or not job.steps:
        raise not_found()
    return _redirect(github, request, lambda: job_log(github, job))


@route("GET", "/repos/{owner}/{repo}/actions/runs/{run}/logs", needs="actions=read")
def read_run_logs(github: Any, request: Request) -> Answer:
    run = find_run(request)
    return _archive(github, request, run, run.attempt)


@route("GET", "/repos/{owner}/{repo}/actions/runs/{run}/attempts/{attempt}/logs", needs="actions=read")
def read_attempt_logs(github: Any, request: Request) -> Answer:
    return _archive(github, request, find_run(request), request.number("attempt"))


def _archive(github: Any, request: Request, run: Run, attempt: int) -> Answer:
    jobs = [job for job in run.jobs_of(attempt) if job.steps]
    if run.status != "completed" or not jobs:
        raise not_found()
    return _redirect(github, request, lambda: archive(github, jobs))


def job_log(github: Any, job: JobState) -> Iterator[bytes]:
    """Yield the whole log of a job in parts."""
    for number in range(len(job.steps)):
        yield from step_log(github, job, number)


def step_log(github: Any, job: JobState, number: int) -> Iterator[bytes]:
    """Yield the log of a step; a stage that wants it large puts noise before the end of what failed."""
    state = job.steps[number]
    content = state.log.read_bytes() if state.log is not None and state.log.exists() else b""
    lines = content.splitlines(keepends=True)
    is_padded = state.conclusion not in (None, "success", "skipped") and github.stage.log_padding_bytes
    if not is_padded:
        yield content
        return
    yield b"".join(lines[:1])
    yield from noise(github.stage.log_padding_bytes)
    yield b"".join(lines[1:])


def noise(size: int) -> Iterator[bytes]:
    """Yield about so many bytes of log lines."""
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
    line = f"{moment} collecting packages, one after another, and saying so every time\n".encode()
    block = line * (PART // len(line))
    for _ in range(-(-size // len(block))):
        yield block


def archive(github: Any, jobs: list[JobState]) -> Iterator[bytes]:
    """Yield the zip archive of a run: the whole of each job, and its steps one by one."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
            for place, job in enumerate(jobs):
                name = job.name.replace("/", "_")
                _write(zipped, f"{place}_{name}.txt", job_log(github, job))
                for number, state in enumerate(job.steps):
                    title = state.name.replace("/", "_")
                    _write(zipped, f"{name}/{state.number}_{title}.txt", step_log(github, job, number))
        file.seek(0)
        while part := file.read(PART):
            yield part


def _write(zipped: zipfile.ZipFile, name: str, content: Iterator[bytes]) -> None:
    with zipped.open(name, "w") as entry:
        for part in content:
            entry.write(part)
