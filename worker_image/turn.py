"""One turn: give the agent its checkout and its prompt, watch it, hand over what it made."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from worker_image.agent_run import AgentRun, agent_environment, run_agent
from worker_image.agent_watch import AgentWatch
from worker_image.capture import Capture, bounded
from worker_image.channel import WorkerChannel
from worker_image.contract import (
    MAX_MESSAGE_CHARS,
    DeveloperWorkerInput,
    DeveloperWorkerOutput,
    ErrorCode,
    Phase,
    POWorkerOutput,
    ProgressEvent,
    ProgressType,
    ResultStatus,
    SnapshotReason,
    WorkerInput,
    WorkerType,
)
from worker_image.gitcli import GitFailed
from worker_image.journal import TurnResult
from worker_image.outcome import Judgement, failure, judge
from worker_image.progress import ProgressBudget
from worker_image.runners import RunnerSpec
from worker_image.runners.base import AgentRunner
from worker_image.snapshots import SnapshotRefused, Snapshots, TurnRefs
from worker_image.workspace import Observation, Workspace, WorkspaceUnavailable

MAX_ARGUMENT_BYTES = 100_000
"""Longer prompts go through a file: the kernel refuses arguments over 128 KiB."""
LONG_PROMPT = "Your task is in the file {path}. Read all of it, then do what it says."

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Activity:
    """What the wrapper is doing right now, for the heartbeat and for a stop."""

    phase: Phase = Phase.IDLE
    run: AgentRun | None = None
    watch: AgentWatch | None = None
    refs: TurnRefs | None = None

    @property
    def output_bytes(self) -> int:
        """Bytes the running agent has printed."""
        return self.run.stdout.total + self.run.stderr.total if self.run else 0


@dataclass(kw_only=True, slots=True)
class TurnRunner:
    """Runs turns, one at a time, in one directory."""

    worker_type: WorkerType
    make_runner: Callable[[RunnerSpec], AgentRunner]
    channel: WorkerChannel
    variables: Mapping[str, str]
    granted: frozenset[str]
    directory: Path
    home: Path
    session_id: str | None
    model: str | None = None
    workspace: Workspace | None = None
    snapshots: Snapshots | None = None
    activity: Activity = field(default_factory=Activity)

    async def run(self, turn: WorkerInput) -> TurnResult:
        """Run one turn and return its result; whatever goes wrong is a result too."""
        began = time.monotonic()
        self.activity.run = self.activity.watch = self.activity.refs = None
        self._tell(turn, ProgressType.STARTED)
        try:
            judgement, observation = await self._run(turn)
        finally:
            self.activity.phase = Phase.IDLE
        ended_well = judgement.status is ResultStatus.SUCCESS
        words = judgement.summary if ended_well else judgement.error
        self._tell(turn, ProgressType.COMPLETED if ended_well else ProgressType.FAILED, words)
        exit_code = self.activity.run.exit_code if self.activity.run else None
        duration_ms = int((time.monotonic() - began) * 1000)
        return make_result(
            turn, judgement, observation=observation, exit_code=exit_code, duration_ms=duration_ms
        )

    async def _run(self, turn: WorkerInput) -> tuple[Judgement, Observation | None]:
        if self.workspace is None or not isinstance(turn, DeveloperWorkerInput):
            return await self._run_agent(turn), None
        self.activity.phase = Phase.PREPARING
        try:
            base_sha = await self.workspace.prepare(branch=turn.branch, base_sha=turn.base_sha)
        except WorkspaceUnavailable as error:
            return failure(ErrorCode.WORKSPACE_UNAVAILABLE, str(error)), None
        refs = TurnRefs(request_id=turn.request_id, branch=turn.branch, base_sha=base_sha)
        self.activity.refs = refs
        async with self._periodic_snapshots(refs):
            judgement = await self._run_agent(turn)
        judgement = await self._hand_over(judgement, refs)
        return judgement, await self.workspace.observe(branch=turn.branch, base_sha=base_sha)

    async def _run_agent(self, turn: WorkerInput) -> Judgement:
        with tempfile.TemporaryDirectory(prefix="turn-", ignore_cleanup_errors=True) as directory:
            prompt_file = Path(directory) / "prompt.txt"
            prompt_file.write_text(turn.prompt)
            spec = RunnerSpec(
                prompt_file=prompt_file,
                home=self.home,
                session_id=self.session_id,
                model=self.model,
                variables=self.variables,
            )
            runner = self.make_runner(spec)
            environment = agent_environment(self.variables, runner, granted=self.granted)
            run = AgentRun(Capture(on_line=self._progress_reader(turn, runner)), Capture())
            self.activity.run, self.activity.phase = run, Phase.RUNNING
            self.activity.watch = AgentWatch(run, self.home)
            await run_agent(
                run,
                runner.build_command(_fitting(turn.prompt, prompt_file)),
                directory=self.directory,
                environment={**environment, "PROMPT_FILE": str(prompt_file)},
                timeout_seconds=turn.timeout,
            )
        logger.info("agent_ended", exit_code=run.exit_code, is_timeout=run.is_timeout, ms=run.duration_ms)
        return judge(run, runner, self.worker_type, turn.timeout)

    async def _hand_over(self, judgement: Judgement, refs: TurnRefs) -> Judgement:
        """Upload before anything is said: a success whose commits cannot be had is none."""
        if self.snapshots is None:
            return judgement
        self.activity.phase = Phase.UPLOADING
        if judgement.status is not ResultStatus.SUCCESS:
            await self.snapshots.upload_changes(refs, SnapshotReason.PERIODIC)
            return judgement
        try:
            await self._collect_instructions(refs)
            await self._refuse_instructions(refs)
            await self.snapshots.upload_result(refs)
        except SnapshotRefused as error:
            return failure(
                ErrorCode.SNAPSHOT_REFUSED, str(error), summary=judgement.summary, usage=judgement.usage
            )
        return judgement

    async def _collect_instructions(self, refs: TurnRefs) -> None:
        """Commit what the agent wrote into the project's part of the file that holds its instructions."""
        orders = self.workspace.instructions if self.workspace else None
        if orders is None or not refs.branch:
            return
        try:
            if await orders.collect(refs.branch):
                logger.info("instructions_collected", name=orders.name)
        except (OSError, GitFailed) as error:
            raise SnapshotRefused(f"the changes of {orders.name} cannot be committed: {error}") from error

    async def _refuse_instructions(self, refs: TurnRefs) -> None:
        """Refuse a branch that carries the worker's instructions: they are not the project's."""
        orders = self.workspace.instructions if self.workspace else None
        if orders is None or not refs.branch or not await orders.is_committed(f"refs/heads/{refs.branch}"):
            return
        if not await orders.is_committed(refs.base_sha):
            name = orders.name
            raise SnapshotRefused(f"the commit contains the worker's instructions in {name}; take them out")

    @contextlib.asynccontextmanager
    async def _periodic_snapshots(self, refs: TurnRefs) -> AsyncIterator[None]:
        if self.snapshots is None:
            yield
            return
        task = asyncio.create_task(self.snapshots.run_periodically(refs))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _progress_reader(self, turn: WorkerInput, runner: AgentRunner) -> Callable[[str], None]:
        budget = ProgressBudget()

        def read(line: str) -> None:
            if self.activity.watch is not None:
                self.activity.watch.see_line(line)
            update = runner.parse_progress(line)
            if update is not None and budget.take():
                self._tell(turn, ProgressType.PROGRESS, update.message, step=update.step, pct=update.pct)

        return read

    def _tell(
        self,
        turn: WorkerInput,
        kind: ProgressType,
        message: str | None = None,
        *,
        step: str | None = None,
        pct: int | None = None,
    ) -> None:
        self.channel.post(
            ProgressEvent(
                correlation_id=turn.correlation_id,
                request_id=turn.request_id,
                type=kind,
                message=bounded(message, MAX_MESSAGE_CHARS) if message else None,
                current_step=bounded(step, MAX_MESSAGE_CHARS) if step else None,
                progress_pct=pct,
            )
        )


def make_result(
    turn: WorkerInput,
    judgement: Judgement,
    *,
    observation: Observation | None = None,
    exit_code: int | None = None,
    duration_ms: int = 0,
) -> TurnResult:
    """Return the result message of a turn."""
    if isinstance(turn, DeveloperWorkerInput):
        return DeveloperWorkerOutput(
            correlation_id=turn.correlation_id,
            request_id=turn.request_id,
            task_id=turn.task_id,
            status=judgement.status,
            commit_sha=observation.commit_sha if observation else None,
            branch=observation.branch if observation else None,
            summary=judgement.summary,
            error=judgement.error,
            error_code=judgement.error_code,
            reason=judgement.reason,
            exit_code=exit_code,
            duration_ms=duration_ms,
            usage=judgement.usage,
        )
    return POWorkerOutput(
        correlation_id=turn.correlation_id,
        request_id=turn.request_id,
        chat_id=turn.chat_id,
        text=judgement.text,
        status=judgement.status,
        error=judgement.error,
        error_code=judgement.error_code,
        usage=judgement.usage,
    )


def _fitting(prompt: str, prompt_file: Path) -> str:
    is_long = len(prompt.encode()) > MAX_ARGUMENT_BYTES
    return LONG_PROMPT.format(path=prompt_file) if is_long else prompt
