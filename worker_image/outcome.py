"""What a run of the agent amounts to. Pure: facts in, a judgement out; success is still only a claim."""

import re
from dataclasses import dataclass

from pydantic import ValidationError

from worker_image.agent_run import AgentRun
from worker_image.capture import bounded
from worker_image.contract import (
    MAX_ERROR_CHARS,
    MAX_SUMMARY_CHARS,
    MAX_TEXT_CHARS,
    AgentVerdict,
    ErrorCode,
    ResultStatus,
    Usage,
    WorkerType,
)
from worker_image.result_parser import ResultParseError, ResultParser, ResultTooLarge
from worker_image.runners.base import AgentAnswer, AgentRunner

_REASON = re.compile(r"[a-z][a-z0-9_]{0,59}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """How a turn ended, before anything was observed outside the agent."""

    status: ResultStatus
    error_code: ErrorCode | None = None
    reason: str | None = None
    error: str | None = None
    summary: str | None = None
    text: str = ""
    usage: Usage | None = None


def failure(
    code: ErrorCode,
    error: str,
    *,
    reason: str | None = None,
    summary: str | None = None,
    usage: Usage | None = None,
) -> Judgement:
    """Return the judgement of a turn that did not succeed; the status follows from the code."""
    statuses = {
        ErrorCode.TIMEOUT: ResultStatus.TIMEOUT,
        ErrorCode.AGENT_REPORTED_FAILURE: ResultStatus.FAILED,
    }
    return Judgement(
        status=statuses.get(code, ResultStatus.ERROR),
        error_code=code,
        reason=reason,
        error=bounded(error, MAX_ERROR_CHARS),
        summary=bounded(summary, MAX_SUMMARY_CHARS) if summary else None,
        usage=usage,
    )


def judge(run: AgentRun, runner: AgentRunner, worker_type: WorkerType, timeout_seconds: int) -> Judgement:
    """Judge a run by its exit, its envelope and its result block, in this order."""
    if run.start_error is not None:
        return failure(ErrorCode.AGENT_MISSING, f"the agent cannot be started: {run.start_error}")
    answer = runner.unwrap(run.stdout.text())
    if run.is_timeout:
        return failure(ErrorCode.TIMEOUT, f"no end after {timeout_seconds} s", usage=answer.usage)
    if answer.is_error and answer.error_code is not None:
        return failure(answer.error_code, answer.error or "", usage=answer.usage)
    if run.exit_code != 0:
        return failure(ErrorCode.AGENT_EXIT, _exit_words(run, answer), usage=answer.usage)
    if answer.is_error:
        return failure(ErrorCode.AGENT_REPORTED_FAILURE, answer.error or "", usage=answer.usage)
    return _judge_words(run, answer, worker_type)


def _judge_words(run: AgentRun, answer: AgentAnswer, worker_type: WorkerType) -> Judgement:
    try:
        block = ResultParser.parse(answer.text)
        verdict = None if block is None else AgentVerdict.model_validate(block)
    except ResultTooLarge as error:
        return failure(ErrorCode.RESULT_TOO_LARGE, str(error), usage=answer.usage)
    except ResultParseError as error:
        code = ErrorCode.RESULT_TOO_LARGE if run.stdout.is_truncated else ErrorCode.RESULT_UNREADABLE
        return failure(code, str(error), usage=answer.usage)
    except ValidationError as error:
        return failure(ErrorCode.RESULT_UNREADABLE, _fields(error), usage=answer.usage)
    if verdict is None:
        return _without_verdict(run, answer, worker_type)
    if verdict.status != "success":
        words = verdict.summary or f"the agent reported {verdict.status}"
        return failure(
            ErrorCode.AGENT_REPORTED_FAILURE,
            words,
            reason=_reason(verdict),
            summary=verdict.summary,
            usage=answer.usage,
        )
    return Judgement(
        status=ResultStatus.SUCCESS,
        summary=bounded(verdict.summary, MAX_SUMMARY_CHARS) or None,
        text=bounded(_spoken(verdict, answer), MAX_TEXT_CHARS),
        usage=answer.usage,
    )


def _reason(verdict: AgentVerdict) -> str | None:
    """Return the agent's own word for its failure, if it is one."""
    said = verdict.data.get("reason")
    return said if isinstance(said, str) and _REASON.fullmatch(said) else None


def _without_verdict(run: AgentRun, answer: AgentAnswer, worker_type: WorkerType) -> Judgement:
    if worker_type is WorkerType.PO and answer.text.strip():
        # A Product Owner talks to a person: its words are its answer.
        text = bounded(answer.text, MAX_TEXT_CHARS)
        return Judgement(status=ResultStatus.SUCCESS, text=text, usage=answer.usage)
    tail = bounded(answer.text.strip() or run.stdout.text(), 1_000)
    return failure(
        ErrorCode.RESULT_MISSING, f"the agent gave no result; it ended with: {tail}", usage=answer.usage
    )


def _spoken(verdict: AgentVerdict, answer: AgentAnswer) -> str:
    text = verdict.data.get("text")
    return text if isinstance(text, str) and text else verdict.summary or answer.text


def _exit_words(run: AgentRun, answer: AgentAnswer) -> str:
    words = answer.error or run.stderr.text().strip() or run.stdout.text().strip()
    return bounded(f"exit code {run.exit_code}: {words[-8_000:]}", MAX_ERROR_CHARS)


def _fields(error: ValidationError) -> str:
    """Name the malformed fields without repeating their values."""
    found = (f"{'.'.join(map(str, item['loc']))}: {item['type']}" for item in error.errors()[:10])
    return f"the result does not fit: {'; '.join(found)}"
