"""What check runs and statuses say about a commit."""

from tests.github_server.state import JobState, Repository, Run


def runs_of(repository: Repository, sha: str) -> list[Run]:
    return [run for run in repository.runs if run.head_sha == sha]


def latest_jobs(repository: Repository, sha: str) -> list[JobState]:
    """Return the jobs that count for a commit: of each run those of its newest attempt."""
    return [job for run in runs_of(repository, sha) for job in run.jobs_of(run.attempt)]


def conclusions(repository: Repository, sha: str) -> dict[str, str | None]:
    """Return the newest conclusion of every check by name; None is one that has not ended."""
    found: dict[str, str | None] = {}
    for job in sorted(latest_jobs(repository, sha), key=lambda job: job.id):
        found[job.name] = job.conclusion
    for status in repository.statuses:
        if status.sha == sha:
            found[status.context] = "success" if status.state == "success" else status.state
    return found
