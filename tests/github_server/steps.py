"""Runs one step: its environment, its files of commands, its script, its outcome."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from tests.github_server import expressions, processes
from tests.github_server.expressions import ExpressionInvalid
from tests.github_server.state import StepState
from tests.github_server.wire import now

CHECKOUT = """\
git init --quiet .
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.extraheader
export GIT_CONFIG_VALUE_0="Authorization: Basic $(printf 'x-access-token:%s' "$INPUT_TOKEN" | base64 -w0)"
git fetch --quiet $INPUT_DEPTH "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" "$INPUT_REF"
git checkout --quiet FETCH_HEAD
"""
CHECKOUT_INPUTS = {"ref", "token", "fetch-depth", "persist-credentials"}
FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")


def name_of(definition: dict[str, Any]) -> str:
    """Return the name a step is shown under."""
    if "name" in definition:
        return str(definition["name"])
    if "uses" in definition:
        return f"Run {definition['uses']}"
    return f"Run {str(definition['run']).strip().splitlines()[0]}"


def is_known(action: str) -> bool:
    """Tell whether this runner can play an action."""
    return action.partition("@")[0] == "actions/checkout"


def finish(state: StepState, conclusion: str) -> None:
    state.status, state.conclusion, state.completed_at = "completed", conclusion, now()
    state.started_at = state.started_at or now()


def run(job: Any, state: StepState, definition: dict[str, Any]) -> None:
    """Run a step if its condition holds, and let its outcome count for the job."""
    contexts = job.contexts()
    identity = definition.get("id")
    try:
        contexts["env"] |= job.fill(definition.get("env"), contexts)
        if "name" in definition:
            state.name = expressions.fill(definition["name"], contexts)
        if not job.holds(definition.get("if"), contexts):
            finish(state, "skipped")
            outcome, outputs = "skipped", {}
        else:
            state.status, state.started_at = "in_progress", now()
            outcome, outputs = _execute(job, state, definition, contexts)
    except ExpressionInvalid as error:
        processes.Log(state.log or Path(os.devnull), job.masker).write(f"##[error]{error}")
        outcome, outputs = "failure", {}
    goes_on = outcome == "failure" and definition.get("continue-on-error") is True
    conclusion = "success" if goes_on else outcome
    if outcome != "skipped":
        finish(state, conclusion)
    if identity:
        job.steps[identity] = {"outputs": outputs, "outcome": outcome, "conclusion": conclusion}
    if conclusion in ("failure", "cancelled") and job.conclusion == "success":
        job.conclusion = conclusion


def _execute(
    job: Any, state: StepState, definition: dict[str, Any], contexts: dict[str, Any]
) -> tuple[str, dict[str, str]]:
    log = processes.Log(state.log or Path(os.devnull), job.masker)
    files = {name: job.folder / "temp" / f"{state.number}_{name.lower()}" for name in FILES}
    for file in files.values():
        file.touch()
    environment = _environment(job, contexts, files)
    text, shell, folder = _script(job, definition, contexts, environment)
    script = job.folder / "temp" / f"{state.number}.sh"
    script.write_text(text)
    log.write(f"##[group]{state.name if state.name.startswith('Run ') else name_of_run(definition)}")
    log.write(text)
    log.write("##[endgroup]")
    outcome = processes.run(
        script,
        shell=shell,
        folder=folder,
        environment=environment,
        log=log,
        groups=job.groups,
        canceled=threading.Event() if _outlives_cancel(job, definition, contexts) else job.task.canceled,
        deadline=_deadline(job, definition),
    )
    try:
        job.environment |= read_commands(files["GITHUB_ENV"])
        outputs = read_commands(files["GITHUB_OUTPUT"])
    except ValueError as error:
        log.write(f"##[error]{error}")
        return "failure", {}
    job.paths[:0] = files["GITHUB_PATH"].read_text().split()
    return _timed(job, outcome, log), outputs


def _timed(job: Any, outcome: str, log: processes.Log) -> str:
    """A step out of time has failed; a job out of time counts as canceled, as on the real one."""
    if outcome != "timed_out":
        return outcome
    if time.monotonic() < job.deadline:
        log.write("##[error]The action has timed out.")
        return "failure"
    log.write("##[error]The job has exceeded the maximum execution time.")
    return "cancelled"


def _outlives_cancel(job: Any, definition: dict[str, Any], contexts: dict[str, Any]) -> bool:
    """Tell whether the condition of a step holds for a job that is canceled too."""
    after = {"success()": False, "failure()": False, "cancelled()": True}
    return bool(job.holds(definition.get("if"), contexts | after))


def name_of_run(definition: dict[str, Any]) -> str:
    return name_of({key: value for key, value in definition.items() if key != "name"})


def _deadline(job: Any, definition: dict[str, Any]) -> float:
    if job.conclusion == "cancelled":
        # What still runs for a canceled job has five minutes.
        return time.monotonic() + 5 * float(job.task.github.stage.seconds_per_minute)
    if "timeout-minutes" not in definition:
        return float(job.deadline)
    seconds = float(definition["timeout-minutes"]) * job.task.github.stage.seconds_per_minute
    return min(float(job.deadline), time.monotonic() + seconds)


def _script(
    job: Any, definition: dict[str, Any], contexts: dict[str, Any], environment: dict[str, str]
) -> tuple[str, str | None, Path]:
    """Return the script of a step, its shell and the directory it runs in."""
    work = job.folder / "work"
    if "uses" in definition:
        given = job.fill(definition.get("with"), contexts)
        if given.keys() - CHECKOUT_INPUTS:
            raise ExpressionInvalid(f"Inputs of the checkout that are not known here: {sorted(given)}")
        environment["INPUT_REF"] = given.get("ref") or job.task.run.sha
        environment["INPUT_TOKEN"] = given.get("token") or job.token
        environment["INPUT_DEPTH"] = "--depth=1" if given.get("fetch-depth", "1") != "0" else ""
        return CHECKOUT, "bash", work
    defaults: dict[str, Any] = {}
    for level in (job.task.run.document.document, job.definition):
        defaults |= (level.get("defaults") or {}).get("run") or {}
    folder = definition.get("working-directory", defaults.get("working-directory", "."))
    shell = definition.get("shell", defaults.get("shell"))
    return expressions.fill(definition["run"], contexts), shell, work / expressions.fill(folder, contexts)


def _environment(job: Any, contexts: dict[str, Any], files: dict[str, Path]) -> dict[str, str]:
    """Return a clean environment with what is documented, and nothing of this machine's."""
    github = contexts["github"]
    words = ("actor", "api_url", "base_ref", "event_name", "head_ref", "ref", "ref_name", "ref_type")
    words += ("repository", "repository_id", "repository_owner", "run_attempt", "run_id", "run_number")
    words += ("server_url", "sha", "workflow", "workspace", "job")
    event = job.folder / "temp" / "event.json"
    event.write_text(json.dumps(github["event"]))
    base = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        **job.task.github.stage.runner_environment,
        "HOME": str(job.folder / "home"),
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(event),
        "RUNNER_OS": "Linux",
        "RUNNER_ARCH": "X64",
        "RUNNER_NAME": "double",
        "RUNNER_TEMP": str(job.folder / "temp"),
        **{f"GITHUB_{word.upper()}": expressions.shown(github[word]) for word in words},
        **{name: str(file) for name, file in files.items()},
    }
    reserved = {key for key in base if key.startswith(("GITHUB_", "RUNNER_"))}
    own = {key: value for key, value in contexts["env"].items() if key not in reserved}
    base["PATH"] = ":".join([*job.paths, base["PATH"]])
    return base | own


def read_commands(file: Path) -> dict[str, str]:
    """Return the names and values that a step wrote into GITHUB_OUTPUT or GITHUB_ENV.

    Raises:
        ValueError: a line is neither ``name=value`` nor the begin of a block.

    """
    found: dict[str, str] = {}
    lines = iter(file.read_text().splitlines())
    for line in lines:
        name, sign, value = line.partition("=")
        if "<<" in name or (not sign and "<<" in line):
            name, _, delimiter = line.partition("<<")
            found[name] = "\n".join(_until(lines, delimiter))
        elif sign and name:
            found[name] = value
        elif line.strip():
            raise ValueError(f"Unable to process file command: Invalid format '{line}'")
    return found


def _until(lines: Any, delimiter: str) -> list[str]:
    block: list[str] = []
    for line in lines:
        if line == delimiter:
            return block
        block.append(line)
    raise ValueError(f"Unable to process file command: Matching delimiter not found '{delimiter}'")
