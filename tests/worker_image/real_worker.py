"""A whole worker with a real coding agent, as the `process` runtime runs it; only the model is scripted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apps.units import toolchain
from apps.units.environment import base_environment
from apps.units.spec import UnitSpec
from apps.units.supervisor import Units
from tests.model_server import KEY, ModelServer
from tests.worker_image.doubles import WORKER, ControlPlane, ValkeyServer, wait_until
from worker_image import contract, streams
from worker_image.contract import AgentType, DeveloperWorkerOutput, POWorkerOutput, WorkerType

UNIT = "real-worker"
LIFE_SECONDS = 600
#: How each agent is told of its provider: variable of the key, of the address, and what address.
PROVIDERS: Mapping[AgentType, tuple[str, str, Callable[[ModelServer], str]]] = {
    AgentType.CLAUDE: ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", lambda model: model.url),
    AgentType.FACTORY: ("FACTORY_API_KEY", "FACTORY_BASE_URL", lambda model: model.url),
    AgentType.CODEX: ("OPENAI_API_KEY", "OPENAI_BASE_URL", lambda model: model.openai_url),
}
#: So that a refusal is a test and not the three minutes that Claude Code spends on one.
FEW_RETRIES = {"CLAUDE_CODE_MAX_RETRIES": "1"}


@dataclass(kw_only=True)
class RealWorker:
    """One wrapper under an unprivileged uid (if we are root), its streams and its control plane."""

    place: Path
    programs: Path
    model: ModelServer
    valkey: ValkeyServer
    plane: ControlPlane
    agent: AgentType = AgentType.CLAUDE
    worker_type: WorkerType = WorkerType.DEVELOPER
    key: str = KEY
    session_id: str = ""
    _pushed: list[str] = field(default_factory=list)

    @property
    def units(self) -> Units:
        """The units of this test."""
        return Units(self.place / "units")

    def start(self) -> None:
        """Start the wrapper; it finds the agent on the PATH that units have."""
        tools = toolchain.prepare(self.place / "tools", extra=(str(self.programs),))
        key_name, url_name, url_of = PROVIDERS[self.agent]
        environment = {
            **base_environment(tools, outer={}),
            **FEW_RETRIES,
            contract.ENV_AGENT_VARIABLES: json.dumps(sorted(FEW_RETRIES)),
            contract.ENV_WORKER_ID: WORKER,
            contract.ENV_WORKER_TYPE: str(self.worker_type),
            contract.ENV_AGENT_TYPE: str(self.agent),
            contract.ENV_REDIS_URL: self.valkey.worker_url,
            contract.ENV_API_URL: self.plane.url,
            contract.ENV_WORKER_TOKEN: self.plane.token,
            contract.ENV_WORKSPACE_DIR: str(self.units.expected_work_directory(UNIT)),
            key_name: self.key,
            url_name: url_of(self.model),
        }
        if self.session_id:
            environment[contract.ENV_SESSION_ID] = self.session_id
        self.units.start(
            UnitSpec(name=UNIT, argv=("orchestrator-worker",), env=environment, timeout_seconds=LIFE_SECONDS)
        )

    def ask(self, prompt: str, *, timeout: int = 120) -> DeveloperWorkerOutput | POWorkerOutput:
        """Send one turn and return its result."""
        request_id = f"turn-{len(self._pushed)}"
        self._pushed.append(request_id)
        fields: dict[str, object] = {"request_id": request_id, "prompt": prompt, "timeout": timeout}
        model: type[contract.DeveloperWorkerInput | contract.POWorkerInput] = contract.POWorkerInput
        if self.worker_type is WorkerType.DEVELOPER:
            model = contract.DeveloperWorkerInput
            fields |= {"task_id": "t", "project_id": "p", "branch": "task/1", "base_sha": self.plane.base_sha}
        else:
            fields["chat_id"] = 7
        with self.valkey.client as client:
            streams.add(client, contract.input_stream(WORKER), model.model_validate(fields).model_dump_json())
        wait_until(lambda: request_id in self._results(), timeout + 60)
        return self._results()[request_id]

    def progress(self) -> list[str]:
        """Return what was told of the work, in order."""
        bodies = [item.read_body() for item in self._outputs()]
        return [body.message for body in bodies if isinstance(body, contract.ProgressEvent) and body.message]

    def log(self) -> str:
        """Return the wrapper's log."""
        return self.units.logs(UNIT, tail_bytes=100_000)

    def end(self) -> None:
        """Kill the wrapper and everything it started."""
        self.units.remove(UNIT)

    def _outputs(self) -> list[contract.OutputEnvelope]:
        with self.valkey.client as client:
            rows = client.xrange(contract.output_stream(WORKER))
        return [contract.OutputEnvelope.read(values[b"data"]) for _, values in rows]

    def _results(self) -> dict[str, DeveloperWorkerOutput | POWorkerOutput]:
        bodies = [item.read_body() for item in self._outputs()]
        found = [body for body in bodies if isinstance(body, DeveloperWorkerOutput | POWorkerOutput)]
        return {body.request_id: body for body in found}
