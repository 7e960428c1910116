"""Reads a workflow file: whether GitHub would accept it, and whether this double can run it."""

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.github_server import expressions

TOP = {"name", "run-name", "on", "permissions", "env", "defaults", "concurrency", "jobs"}
JOB = {
    *("name", "needs", "if", "runs-on", "permissions", "env", "defaults", "timeout-minutes", "steps"),
    *("outputs", "concurrency", "continue-on-error"),
}
STEP = {
    *("name", "id", "if", "run", "uses", "with", "env", "shell", "working-directory", "timeout-minutes"),
    "continue-on-error",
}
#: Known to GitHub, not played here.
BEYOND = {"strategy", "services", "container", "uses", "with", "secrets", "environment"}
SHELLS = {None, "bash", "sh", "python"}
EVENTS = {"push", "pull_request", "workflow_dispatch"}
FILTERS = {
    "push": {"branches", "branches-ignore", "tags"},
    "pull_request": {"branches", "branches-ignore", "types"},
    "workflow_dispatch": {"inputs"},
}
INPUT = {"description", "required", "default", "type", "options"}
#: Which contexts an expression may look at, by place.
EARLY = {"github", "inputs", "vars"}
JOB_LEVEL = EARLY | {"needs"}
STEP_LEVEL = JOB_LEVEL | {"secrets", "env", "steps", "job", "runner"}
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class WorkflowInvalid(Exception):
    """GitHub would not accept this file."""


class WorkflowUnsupported(WorkflowInvalid):
    """GitHub would; this double does not know how to run it."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's words for truth, so that `on` stays a word, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise WorkflowInvalid(f"'{key}' is already defined (line {node.start_mark.line + 1})")
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")
)


@dataclass
class Workflow:
    """A workflow file that can be run."""

    path: str
    name: str
    document: dict[str, Any]
    triggers: dict[str, dict[str, Any]]
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def starts_on(self, event: str, branch: str, action: str = "") -> bool:
        """Tell whether an event on a branch (the base, of a pull request) starts this workflow."""
        if event not in self.triggers:
            return False
        filters = self.triggers[event]
        types = filters.get("types", ["opened", "synchronize", "reopened"])
        if event == "pull_request" and action not in types:
            return False
        if event == "push" and "tags" in filters and not {"branches", "branches-ignore"} & filters.keys():
            return False
        wanted, unwanted = filters.get("branches"), filters.get("branches-ignore", [])
        if any(_matches(branch, pattern) for pattern in unwanted):
            return False
        return wanted is None or any(_matches(branch, pattern) for pattern in wanted)


def _matches(branch: str, pattern: str) -> bool:
    if pattern.startswith("!"):
        raise WorkflowUnsupported(f"A negated branch filter: {pattern}")
    if "**" in pattern:
        return fnmatch.fnmatchcase(branch, pattern.replace("**", "*"))
    return branch.count("/") == pattern.count("/") and fnmatch.fnmatchcase(branch, pattern)


def read(path: str, content: bytes) -> Workflow:
    """Return a workflow.

    Raises:
        WorkflowInvalid: GitHub would not accept the file.
        WorkflowUnsupported: this double cannot run it.

    """
    try:
        document = yaml.load(content.decode(), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WorkflowInvalid(f"Invalid workflow file: {error}") from None
    if not isinstance(document, dict):
        raise WorkflowInvalid("Invalid workflow file: it is no mapping")
    _check_keys("the workflow", document, TOP)
    for key in ("on", "jobs"):
        if not document.get(key):
            raise WorkflowInvalid(f"Required property is missing: {key}")
    _check_expressions("run-name", document.get("run-name"), EARLY)
    _check_expressions("concurrency", document.get("concurrency"), EARLY)
    _check_expressions("env", document.get("env"), EARLY | {"secrets"})
    workflow = Workflow(path, str(document.get("name") or path), document, _triggers(document["on"]))
    for key, job in document["jobs"].items():
        workflow.jobs[key] = _job(key, job, document["jobs"])
    return workflow


def _triggers(value: Any) -> dict[str, dict[str, Any]]:
    if isinstance(value, str):
        value = [value]
    triggers = dict.fromkeys(value) if isinstance(value, list) else dict(value)
    for event, filters in triggers.items():
        if event not in EVENTS:
            raise WorkflowUnsupported(f"The event {event}")
        triggers[event] = filters or {}
        _check_keys(f"on.{event}", triggers[event], FILTERS[event])
    for name, settings in (triggers.get("workflow_dispatch", {}).get("inputs") or {}).items():
        _check_keys(f"the input {name}", settings or {}, INPUT)
    return triggers


def _job(key: str, job: Any, jobs: dict[str, Any]) -> dict[str, Any]:
    if not _ID.fullmatch(str(key)) or not isinstance(job, dict):
        raise WorkflowInvalid(f"The job {key} is not valid")
    _check_keys(f"the job {key}", job, JOB)
    for needed in ("runs-on", "steps"):
        if not job.get(needed):
            raise WorkflowInvalid(f"The job {key} has no {needed}")
    for name in needs_of(job):
        if name not in jobs:
            raise WorkflowInvalid(f"Job '{key}' depends on unknown job '{name}'.")
    _check_expressions(f"{key}.name", job.get("name"), JOB_LEVEL)
    _check_condition(f"{key}.if", job.get("if"), JOB_LEVEL)
    _check_expressions(f"{key}.env", job.get("env"), JOB_LEVEL | {"secrets"})
    _check_expressions(f"{key}.outputs", job.get("outputs"), STEP_LEVEL)
    ids = set()
    for number, step in enumerate(job["steps"], 1):
        _check_step(f"{key}.steps[{number}]", step)
        if step.get("id") in ids:
            raise WorkflowInvalid(f"The identifier '{step['id']}' may not be used more than once")
        ids |= {step["id"]} if "id" in step else set()
    return job


def _check_step(place: str, step: Any) -> None:
    if not isinstance(step, dict) or ("run" in step) == ("uses" in step):
        raise WorkflowInvalid(f"{place} must have one of run and uses")
    _check_keys(place, step, STEP)
    if step.get("shell") not in SHELLS:
        raise WorkflowUnsupported(f"{place}: the shell {step['shell']}")
    _check_condition(f"{place}.if", step.get("if"), STEP_LEVEL - {"secrets"})
    for key in ("name", "run", "env", "with", "working-directory"):
        _check_expressions(f"{place}.{key}", step.get(key), STEP_LEVEL)


def needs_of(job: dict[str, Any]) -> list[str]:
    """Return the jobs a job waits for."""
    needs = job.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def _check_keys(place: str, mapping: Any, known: set[str]) -> None:
    if not isinstance(mapping, dict):
        raise WorkflowInvalid(f"A mapping was expected in {place}")
    for key in mapping:
        if key not in known and key in BEYOND:
            raise WorkflowUnsupported(f"{key} in {place}")
        if key not in known:
            raise WorkflowInvalid(f"Unexpected value '{key}' in {place}")


def _check_expressions(place: str, value: Any, contexts: set[str]) -> None:
    """Refuse what looks at contexts that do not exist at this place."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_expressions(place, item, contexts)
    elif isinstance(value, str):
        try:
            found = expressions.inserted(value)
        except expressions.ExpressionInvalid as error:
            raise WorkflowInvalid(f"{place}: {error}") from None
        for expression in found:
            _check_one(place, expression, contexts, functions=set())


def _check_condition(place: str, value: Any, contexts: set[str]) -> None:
    if value is None:
        return
    try:
        expression = expressions.condition(value)
    except expressions.ExpressionInvalid as error:
        raise WorkflowInvalid(f"{place}: {error}") from None
    _check_one(place, expression, contexts, functions=expressions.STATUS_FUNCTIONS)


def _check_one(
    place: str, expression: expressions.Expression, contexts: set[str], functions: set[str]
) -> None:
    for name in sorted(expression.contexts - contexts):
        raise WorkflowInvalid(f"{place}: Unrecognized named-value: '{name}'")
    for name in sorted((expression.functions & expressions.STATUS_FUNCTIONS) - functions):
        raise WorkflowInvalid(f"{place}: Unrecognized function: '{name}'")
