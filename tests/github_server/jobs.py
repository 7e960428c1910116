"""Runs one job: its condition, its environment, its steps one after another, its conclusion."""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.github_server import expressions, processes, runs, steps
from tests.github_server.masking import Masker
from tests.github_server.state import JobState, StepState
from tests.github_server.wire import now

DEFAULT_MINUTES = 360
#: The permissions of a job's token where the workflow says nothing.
DEFAULT_PERMISSIONS = {"contents": "read", "metadata": "read", "packages": "read"}


@dataclass
class Result:
    """What other jobs see of a job that has ended."""

    conclusion: str
    outputs: dict[str, str] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        return {"result": self.conclusion, "outputs": self.outputs}


@dataclass
class Job:
    """A job at work: what its steps share."""

    task: Any
    state: JobState
    definition: dict[str, Any]
    needs: dict[str, Result]
    folder: Path
    token: str
    masker: Masker
    groups: processes.Groups
    deadline: float
    environment: dict[str, str] = field(default_factory=dict)  # from workflow, job and GITHUB_ENV
    paths: list[str] = field(default_factory=list)
    steps: dict[str, Any] = field(default_factory=dict)
    conclusion: str = "success"

    def contexts(self, **more: Any) -> dict[str, Any]:
        """Return what expressions of a step look at."""
        early = self.task.early_contexts()
        workspace = str(self.folder / "work")
        return {
            **early,
            "github": {**early["github"], "token": self.token, "workspace": workspace, "job": self.state.key},
            "secrets": {**self.task.repository.secrets, "GITHUB_TOKEN": self.token},
            "needs": {key: result.shown() for key, result in self.needs.items()},
            "env": dict(self.environment),
            "steps": self.steps,
            "job": {"status": "success" if self.conclusion == "success" else self.conclusion},
            "runner": {"os": "Linux", "arch": "X64", "temp": str(self.folder / "temp"), "name": "double"},
            "success()": self.conclusion == "success",
            "failure()": self.conclusion == "failure",
            "cancelled()": self.task.canceled.is_set() or self.conclusion == "cancelled",
            "always()": True,
            **more,
        }

    def holds(self, condition: Any, contexts: dict[str, Any]) -> bool:
        """Tell whether an `if` holds; without a status function it means success too."""
        if condition is None:
            return bool(contexts["success()"])
        expression = expressions.condition(condition)
        is_free = bool(expression.functions & expressions.STATUS_FUNCTIONS)
        holds = expressions.truth(expressions.evaluate(expression, contexts))
        return holds and (is_free or bool(contexts["success()"]))

    def fill(self, mapping: dict[str, Any] | None, contexts: dict[str, Any]) -> dict[str, str]:
        return {str(key): expressions.fill(value, contexts) for key, value in (mapping or {}).items()}


def run(
    task: Any, folder: Path, state: JobState, definition: dict[str, Any], needs: dict[str, Result]
) -> Result:
    """Run a job to its end and return its conclusion with its outputs."""
    job = _prepare(task, folder / str(state.id), state, definition, needs)
    ended = {result.conclusion for result in needs.values()}
    contexts = job.contexts()
    contexts["success()"] = ended <= {"success"} and not task.canceled.is_set()
    contexts["failure()"] = "failure" in ended
    if not job.holds(definition.get("if"), contexts):
        state.finish("cancelled" if task.canceled.is_set() else "skipped")
        return Result(str(state.conclusion))
    state.status, state.started_at = "in_progress", now()
    task.runner.github.webhooks.send(
        "check_run",
        {"action": "created", "check_run": runs.show_check(task.github, task.repository, task.run, state)},
        task.repository,
    )
    try:
        _run_steps(job)
        outputs = job.fill(definition.get("outputs"), job.contexts())
    finally:
        job.groups.kill()
        task.github.tokens.pop(job.token, None)
        for name in ("work", "temp", "home"):
            shutil.rmtree(job.folder / name, ignore_errors=True)
    state.finish(job.conclusion)
    return Result(job.conclusion, outputs)


def _prepare(
    task: Any, folder: Path, state: JobState, definition: dict[str, Any], needs: dict[str, Result]
) -> Job:
    for name in ("work", "temp", "home", "logs"):
        (folder / name).mkdir(parents=True)
    minutes = float(definition.get("timeout-minutes", DEFAULT_MINUTES))
    token = task.github.mint(
        _permissions(task, definition), repository_ids=frozenset({task.repository.id}), is_job=True
    ).value
    job = Job(
        task=task,
        state=state,
        definition=definition,
        needs=needs,
        folder=folder,
        token=token,
        masker=Masker([*task.repository.secrets.values(), token]),
        groups=processes.Groups(),
        deadline=time.monotonic() + minutes * task.github.stage.seconds_per_minute,
    )
    for level in (task.run.document.document.get("env"), definition.get("env")):
        job.environment |= job.fill(level, job.contexts())
    return job


def _permissions(task: Any, definition: dict[str, Any]) -> dict[str, str]:
    declared = definition.get("permissions", task.run.document.document.get("permissions"))
    if declared is None:
        return dict(DEFAULT_PERMISSIONS)
    if isinstance(declared, str):
        level = {"read-all": "read", "write-all": "write"}[declared]
        names = ("contents", "actions", "checks", "deployments", "pull_requests", "statuses")
        return {"metadata": "read", **dict.fromkeys(names, level)}
    levels = {name.replace("-", "_"): level for name, level in declared.items() if level != "none"}
    return {"metadata": "read", **levels}


def _run_steps(job: Job) -> None:
    definitions = job.definition["steps"]
    opening = StepState(1, "Set up job")
    closing = StepState(len(definitions) + 2, "Complete job")
    made = [StepState(number, steps.name_of(each)) for number, each in enumerate(definitions, 2)]
    job.state.steps = [opening, *made, closing]
    for number, state in enumerate(job.state.steps):
        state.log = job.folder / "logs" / f"{number}.txt"
    if not _set_up(job, opening, definitions):
        for state in made:
            steps.finish(state, "skipped")
    else:
        for state, definition in zip(made, definitions, strict=True):
            steps.run(job, state, definition)
    _write(job, closing, "Cleaning up orphan processes")


def _set_up(job: Job, state: StepState, definitions: list[dict[str, Any]]) -> bool:
    """Begin the job; an action nobody knows here ends it at once."""
    _write(job, state, "Current runner version: '2.400.0'")
    unknown = [step["uses"] for step in definitions if "uses" in step and not steps.is_known(step["uses"])]
    if unknown:
        _write(job, state, f"##[error]Unable to resolve action `{unknown[0]}`, it is not known here")
        state.conclusion = job.conclusion = "failure"
    return not unknown


def _write(job: Job, state: StepState, words: str) -> None:
    assert state.log is not None
    processes.Log(state.log, job.masker).write(words)
    steps.finish(state, state.conclusion or "success")
