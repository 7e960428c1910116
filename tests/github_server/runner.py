"""The runner: takes runs, honors concurrency and cancellation, and runs jobs in the order of their needs."""

import shutil
import threading
from pathlib import Path
from typing import Any

from tests.github_server import expressions, jobs, runs, workflow
from tests.github_server.expressions import ExpressionInvalid
from tests.github_server.state import JobState, Repository, Run

_NO_JOBS = {"startup_failure", "action_required"}


class Runner:
    """Runs every workflow run in a thread of its own; `stop` ends all of it."""

    def __init__(self, github: Any, root: Path) -> None:
        self.github, self.root = github, root
        self._tasks: dict[tuple[int, int], RunTask] = {}
        self._lock = threading.RLock()
        self._is_stopping = False

    def take(self, repository: Repository, run: Run, *, only: set[str] | None = None) -> None:
        """Start a run, or a further attempt of it with the named jobs alone."""
        task = RunTask(self, repository, run, only)
        with self._lock:
            if self._is_stopping:
                return
            self._tasks[run.id, run.attempt] = task
            self._displace(task)
        task.thread.start()

    def _displace(self, task: "RunTask") -> None:
        """Let a newcomer of a concurrency group push out those it should."""
        for other in self._tasks.values():
            if other is task or other.is_over or not task.group or other.key != task.key:
                continue
            if task.cancels_in_progress or not other.is_at_work:
                other.cancel()

    def may_begin(self, task: "RunTask") -> bool:
        """Tell whether the concurrency group has a place for a run."""
        with self._lock:
            others = [other for other in self._tasks.values() if other is not task and other.key == task.key]
            is_free = not task.group or not any(other.is_at_work for other in others)
            if is_free and self.github.stage.may_run.is_set():
                task.is_at_work = True
            return task.is_at_work

    def cancel(self, run: Run) -> None:
        with self._lock:
            task = self._tasks.get((run.id, run.attempt))
        if task is not None:
            task.cancel()

    def wait(self, run: Run, seconds: float = 60.0) -> None:
        """Wait until a run has ended.

        Raises:
            AssertionError: it did not in time.

        """
        task = self._tasks.get((run.id, run.attempt))
        if task is not None:
            task.thread.join(seconds)
        if run.status != "completed":
            raise AssertionError(f"run {run.id} of {run.path} did not end: it is {run.status}")

    def forget(self, repository: Repository) -> None:
        """End the runs of a repository that is being deleted."""
        for task in [task for task in self._tasks.values() if task.repository is repository]:
            task.cancel()
            task.thread.join(30)

    def stop(self) -> None:
        with self._lock:
            self._is_stopping = True
            tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            if task.thread.ident is not None:
                task.thread.join(30)


class RunTask:
    """One attempt of one run."""

    def __init__(self, runner: Runner, repository: Repository, run: Run, only: set[str] | None) -> None:
        self.runner, self.github, self.repository, self.run = runner, runner.github, repository, run
        self.only = only
        self.canceled = threading.Event()
        self.is_at_work = False
        self.is_over = False
        self.group, self.cancels_in_progress = self._concurrency()
        self.key = (repository.id, self.group)
        self.thread = threading.Thread(target=self._work, name=f"run-{run.id}", daemon=True)

    def _concurrency(self) -> tuple[str, bool]:
        declared = self.run.document.document.get("concurrency") if self.run.document else None
        if not declared:
            return "", False
        contexts = self.early_contexts()
        if isinstance(declared, str):
            return expressions.fill(declared, contexts), False
        in_progress = expressions.fill(declared.get("cancel-in-progress", False), contexts)
        return expressions.fill(declared["group"], contexts), in_progress == "true"

    def early_contexts(self) -> dict[str, Any]:
        context = runs.github_context(self.github, self.repository, self.run)
        return {"github": context, "inputs": self.run.inputs, "vars": {}}

    def cancel(self) -> None:
        self.canceled.set()

    def _work(self) -> None:
        try:
            self._wait_for_place()
            self._run()
        finally:
            self.is_at_work, self.is_over = False, True

    def _wait_for_place(self) -> None:
        while not self.canceled.is_set() and not self.runner.may_begin(self):
            self.canceled.wait(0.02)

    def _run(self) -> None:
        override = self.github.stage.take_override(self.run.file)
        if self.run.document is None or override in _NO_JOBS:
            return self._end(override or "startup_failure")
        self.run.status = "in_progress"
        states = self._make_jobs()
        runs.announce(self.github, self.repository, self.run, "in_progress")
        if override:
            for state in states:
                state.finish(override)
                self._announce_job(state)
            return self._end(override)
        folder = self.runner.root / f"{self.run.id}-{self.run.attempt}"
        folder.mkdir(parents=True)
        try:
            self._run_jobs(folder, states)
        finally:
            shutil.rmtree(folder / "work", ignore_errors=True)
        return self._end(self._conclusion())

    def _make_jobs(self) -> list[JobState]:
        made = []
        for key, job in self.run.document.jobs.items():
            if self.only is not None and key not in self.only:
                continue
            name = str(job.get("name") or key)
            if "${{" in name:
                name = expressions.fill(name, {**self.early_contexts(), "needs": {}})
            number = self.github.next_id()
            made.append(JobState(number, self.run.id, self.run.attempt, name, self.run.head_sha, key=key))
        self.run.jobs.extend(made)
        return made

    def _run_jobs(self, folder: Path, states: list[JobState]) -> None:
        waiting = list(states)
        results = {
            job.key: jobs.Result(job.conclusion or "") for job in self.run.jobs_of(self.run.attempt - 1)
        }
        while waiting:
            ready = [state for state in waiting if not self._is_blocked(state, waiting)]
            if not ready:
                raise AssertionError("the jobs of this workflow wait for one another")
            for state in ready:
                waiting.remove(state)
                results[state.key] = self._run_job(folder, state, results)
                self._announce_job(state)

    def _is_blocked(self, state: JobState, waiting: list[JobState]) -> bool:
        needed = workflow.needs_of(self.run.document.jobs[state.key])
        return any(other.key in needed for other in waiting)

    def _run_job(self, folder: Path, state: JobState, results: dict[str, "jobs.Result"]) -> "jobs.Result":
        job = self.run.document.jobs[state.key]
        needs = {key: results[key] for key in workflow.needs_of(job)}
        try:
            return jobs.run(self, folder, state, job, needs)
        except ExpressionInvalid as error:
            state.finish("failure")
            self.run.complaint = str(error)
            return jobs.Result("failure")

    def _announce_job(self, state: JobState) -> None:
        for event, shown in (
            ("workflow_job", runs.show_job(self.github.base_url, self.repository, self.run, state)),
            ("check_run", runs.show_check(self.github, self.repository, self.run, state)),
        ):
            self.github.webhooks.send(event, {"action": "completed", event: shown}, self.repository)

    def _conclusion(self) -> str:
        found = [job.conclusion for job in self.run.jobs_of(self.run.attempt)]
        if self.canceled.is_set():
            return "cancelled"
        return next((word for word in ("failure", "timed_out", "cancelled") if word in found), "success")

    def _end(self, conclusion: str) -> None:
        if self.canceled.is_set():
            conclusion = "cancelled"
        self.run.status, self.run.conclusion = "completed", conclusion
        runs.announce(self.github, self.repository, self.run, "completed")
