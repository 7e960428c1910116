"""Entry point of a worker, PID 1 of its container: `python -m worker_image.worker_wrapper [--wait]`."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from worker_image import deadline, handover, logs, processes
from worker_image.channel import connect
from worker_image.contract import ENV_INPUT_DIR, WAIT_FLAG, WrapperExit
from worker_image.environment import Environment, EnvironmentInvalid, read_environment
from worker_image.instructions import Instructions, InstructionsMissing, read_instructions
from worker_image.transfer import ApiClient
from worker_image.wrapper import WorkerWrapper

logger = structlog.get_logger(__name__)


def main(arguments: Sequence[str] = ()) -> int:
    """Run one worker to its end and return the exit code.

    With `--wait` everything is loaded first, and the environment comes in a file once there is a worker.
    """
    processes.protect_self()
    try:
        if WAIT_FLAG in arguments:
            given = handover.await_environment(Path(os.environ.get(ENV_INPUT_DIR) or "/inputs"))
            if given is None:
                return WrapperExit.STOPPED
            os.environ.update(given)
        logs.configure(os.environ)
        environment = read_environment(os.environ)
    except EnvironmentInvalid as error:
        logger.error("worker_misconfigured", error=str(error))
        return WrapperExit.MISCONFIGURED
    return asyncio.run(_live(environment))


async def _live(environment: Environment) -> WrapperExit:
    structlog.contextvars.bind_contextvars(worker_id=environment.worker_id)
    try:
        instructions = _prepare(environment)
    except (InstructionsMissing, OSError) as error:
        logger.error("worker_uninstructed", error=str(error))
        return WrapperExit.UNINSTRUCTED
    async with ApiClient(environment.api_url, environment.worker_token) as api:
        wrapper = WorkerWrapper(
            connect(environment.redis_url),
            environment.worker_id,
            environment.worker_type,
            environment=environment,
            api=api,
            instructions=instructions,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, wrapper.stop)
        deadline.arm(os.environ, lambda: loop.call_soon_threadsafe(wrapper.stop))
        return await wrapper.run()


def _prepare(environment: Environment) -> Instructions | None:
    """Make the working directory and put the agent's instructions into it, before anything is said."""
    directory = environment.workspace_dir
    directory.mkdir(parents=True, exist_ok=True)
    instructions = read_instructions(os.environ, directory=directory, agent_type=environment.agent_type)
    # In a checkout, which a restarted wrapper finds, they are put in place with every turn.
    if instructions is not None and not (directory / ".git").exists():
        instructions.place_alone()
    return instructions


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
