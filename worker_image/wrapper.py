"""The life of a worker: take turns until told to stop, and tell what happens.

`process_one_message` is one turn from the input stream to its result; `run` is the whole life with heartbeat,
sending in the background, and an orderly stop.
"""

import asyncio
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio
import structlog

from worker_image import disk, processes
from worker_image.channel import ChannelRefused, WorkerChannel
from worker_image.contract import (
    HEARTBEAT_SECONDS,
    ErrorCode,
    Heartbeat,
    LifecycleEvent,
    Phase,
    ResultStatus,
    SnapshotReason,
    WorkerInput,
    WorkerLifecycleEvent,
    WorkerType,
    WrapperExit,
)
from worker_image.environment import Environment
from worker_image.inputs import Unreadable, read_input
from worker_image.instructions import Instructions
from worker_image.journal import Journal, TurnResult
from worker_image.masking import secrets_of
from worker_image.outcome import failure
from worker_image.runners import RUNNERS, RunnerSpec
from worker_image.runners.base import AgentRunner, PlainRunner
from worker_image.session import SessionFile
from worker_image.snapshots import Snapshots
from worker_image.streams import Entry
from worker_image.transfer import ApiClient
from worker_image.turn import TurnRunner, make_result
from worker_image.workspace import Workspace

DISK_SECONDS = 10.0
"""From one look at the size of the worker's files to the next."""
STOP_FLUSH_SECONDS = 3.0
"""How long a stopping wrapper tries to tell so: a container is killed ten seconds after it was asked."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Current:
    """The input that is being answered."""

    entry: Entry
    turn: WorkerInput


class WorkerWrapper:
    """Connects one agent to one worker's streams.

    With an `environment` and an `api` it is a whole worker; with only an `agent_command` it runs that command
    for each input, without a workspace (what component tests need).
    """

    def __init__(
        self,
        redis: "redis.asyncio.Redis",
        worker_id: str,
        worker_type: str,
        agent_command: str | None = None,
        *,
        environment: Environment | None = None,
        api: ApiClient | None = None,
        variables: Mapping[str, str] | None = None,
        instructions: Instructions | None = None,
    ) -> None:
        variables = os.environ if variables is None else variables
        self.channel = WorkerChannel(redis, worker_id, secrets=secrets_of(variables))
        self._worker_id = worker_id
        self._worker_type = WorkerType(worker_type)
        self._agent_command = shlex.split(agent_command) if agent_command else None
        self._environment = environment
        self._instructions = instructions
        state_dir = environment.state_dir if environment else None
        self._journal = Journal(state_dir)
        self._turns = self._make_turn_runner(api, variables)
        self._stopping = asyncio.Event()
        self._current: Current | None = None
        self._reaper = processes.Reaper()
        self._workspace_bytes: int | None = None

    def stop(self) -> None:
        """Ask for an orderly end of `run`; safe to call again."""
        self._stopping.set()

    async def process_one_message(self) -> None:
        """Wait for one input, answer it, and acknowledge it once its result is with the server.

        Raises:
            ChannelRefused: the server shut this worker out.
        """
        entry = await self.channel.next_input()
        turn = read_input(entry, self._worker_type)
        if isinstance(turn, Unreadable):
            logger.error("input_unreadable", entry_id=entry.id, reason=turn.reason)
            if turn.answer is not None:
                await self.channel.send(turn.answer)
            await self.channel.acknowledge(entry)
            return
        self._current = Current(entry, turn)
        with structlog.contextvars.bound_contextvars(
            request_id=turn.request_id, correlation_id=turn.correlation_id
        ):
            await self._deliver(entry, await self._answer(turn))
        self._current = None

    async def run(self) -> WrapperExit:
        """Live until `stop` is called or the worker is shut out; returns the process's exit code."""
        self._post_lifecycle(LifecycleEvent.STARTED)
        logger.info("worker_started", worker_id=self._worker_id, boot=self.channel.boot)
        life = [
            asyncio.create_task(self._take_turns()),
            asyncio.create_task(self.channel.pump()),
            asyncio.create_task(self._beat()),
        ]
        weighing = asyncio.create_task(self._weigh())
        asked = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([*life, asked], return_when=asyncio.FIRST_COMPLETED)
        self._turns.activity.phase = Phase.STOPPING
        asked.cancel()
        weighing.cancel()
        life[0].cancel()
        life[2].cancel()
        ends = await asyncio.gather(life[0], life[2], return_exceptions=True)
        exit_code = await self._say_goodbye([*ends, _error_of(life[1])])
        life[1].cancel()
        await asyncio.gather(life[1], asked, return_exceptions=True)
        await self.channel.close()
        return exit_code

    async def _answer(self, turn: WorkerInput) -> TurnResult:
        """Run a turn, unless it was run before: then repeat its result, or say that it was cut off."""
        if (known := self._journal.find_result(turn.request_id)) is not None:
            logger.info("turn_answered_again")
            return known
        if self._journal.was_running(turn.request_id):
            logger.warning("turn_was_cut_off")
            words = "the worker was started again during this turn"
            result = make_result(turn, failure(ErrorCode.WORKER_RESTARTED, words))
        else:
            self._journal.begin(turn.request_id)
            result = await self._turns.run(turn)
        self._journal.finish(result)
        return result

    async def _deliver(self, entry: Entry, result: TurnResult) -> None:
        self.channel.post(result)
        ended_well = result.status is ResultStatus.SUCCESS
        self._post_lifecycle(
            LifecycleEvent.COMPLETED if ended_well else LifecycleEvent.FAILED,
            error=None if ended_well else result.error,
        )
        await self.channel.flush()
        await self.channel.acknowledge(entry)
        logger.info("turn_ended", status=result.status, error_code=result.error_code)

    async def _take_turns(self) -> None:
        while True:
            await self.process_one_message()

    async def _beat(self) -> None:
        activity, snapshots = self._turns.activity, self._turns.snapshots
        while True:
            self._reaper.reap()
            files_changed_at = snapshots.files_changed_at if snapshots else None
            self.channel.post(
                Heartbeat(
                    phase=activity.phase,
                    output_bytes=activity.output_bytes,
                    files_changed_at=files_changed_at,
                    children=processes.count_children(),
                    workspace_bytes=self._workspace_bytes,
                    agent=activity.watch.sample(files_changed_at) if activity.watch else None,
                )
            )
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _weigh(self) -> None:
        """Keep the size of the worker's files known."""
        environment = self._environment
        while environment is not None:
            await asyncio.sleep(DISK_SECONDS)
            places = [environment.workspace_dir, environment.home]
            self._workspace_bytes = await asyncio.to_thread(disk.used_bytes, places)

    async def _say_goodbye(self, ends: list[BaseException | None]) -> WrapperExit:
        """Save the work of an interrupted turn, answer it, and tell the end; bounded in time."""
        errors = [end for end in ends if isinstance(end, Exception)]
        exit_code = _exit_code(errors)
        for error in errors:
            logger.error("worker_failed", error=str(error), exc_info=error)
        # Also between two turns: what the last one left uncommitted was not part of its result.
        if (refs := self._turns.activity.refs) is not None and self._turns.snapshots is not None:
            await self._turns.snapshots.upload_changes(refs, SnapshotReason.STOP)
        if self._current is not None:
            self._abandon(self._current, errors)
        event = LifecycleEvent.STOPPED if exit_code is WrapperExit.STOPPED else LifecycleEvent.FAILED
        words = str(errors[0])[:500] if errors else None
        self._post_lifecycle(event, exit_code=exit_code.value, error=words)
        try:
            async with asyncio.timeout(STOP_FLUSH_SECONDS):
                await self.channel.flush()
                if self._current is not None:
                    await self.channel.acknowledge(self._current.entry)
        except (TimeoutError, ChannelRefused):
            logger.warning("stopped_unheard", waiting=self.channel.waiting)
        logger.info("worker_stopped", exit_code=exit_code.value)
        return exit_code

    def _abandon(self, current: Current, errors: list[Exception]) -> None:
        result = self._journal.find_result(current.turn.request_id)
        if result is None:
            code, words = ErrorCode.WORKER_STOPPED, "the worker was stopped during this turn"
            if errors:
                code, words = ErrorCode.WORKER_FAILED, f"the worker broke: {type(errors[0]).__name__}"
            result = make_result(current.turn, failure(code, words))
            self._journal.finish(result)
        # Perhaps sent before already: the control plane takes the first of a turn.
        self.channel.post(result)

    def _post_lifecycle(
        self, event: LifecycleEvent, *, exit_code: int | None = None, error: str | None = None
    ) -> None:
        self.channel.post(
            WorkerLifecycleEvent(worker_id=self._worker_id, event=event, exit_code=exit_code, error=error)
        )

    def _make_turn_runner(self, api: ApiClient | None, variables: Mapping[str, str]) -> TurnRunner:
        environment = self._environment
        is_developer = self._worker_type is WorkerType.DEVELOPER
        turns = TurnRunner(
            worker_type=self._worker_type,
            make_runner=self._make_runner,
            channel=self.channel,
            variables=variables,
            granted=environment.agent_variables if environment else frozenset(),
            directory=environment.workspace_dir if environment else Path.cwd(),
            home=environment.home if environment else Path.home(),
            model=environment.model if environment else None,
            session_id=None if is_developer or not environment else self._session_id(environment),
        )
        if environment is not None and api is not None and is_developer:
            turns.workspace = Workspace(
                environment.workspace_dir, environment.state_dir, api, self._instructions
            )
            turns.snapshots = Snapshots(turns.workspace, environment.state_dir, api)
        return turns

    def _session_id(self, environment: Environment) -> str:
        return SessionFile(environment.state_dir, environment.session_id).session_id

    def _make_runner(self, spec: RunnerSpec) -> AgentRunner:
        if self._agent_command is not None:
            return PlainRunner(self._agent_command)
        if self._environment is None:
            raise ValueError("a worker needs an environment or an agent command")
        return RUNNERS[self._environment.agent_type](spec)


def _error_of(task: "asyncio.Task[None]") -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


def _exit_code(errors: list[Exception]) -> WrapperExit:
    if not errors:
        return WrapperExit.STOPPED
    return WrapperExit.SHUT_OUT if isinstance(errors[0], ChannelRefused) else WrapperExit.CRASHED
