"""What a worker reaches of this machine is told, and the repair that is told repairs it."""

import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.workers.runtime.base import ContainerSpec, Network
from apps.workers.runtime.docker import DockerRuntime
from orchestrator import doctor, exposure
from orchestrator.edge import ports
from orchestrator.exposure import OpenPort
from orchestrator.installation import bridge_name
from tests import docker_engine

NOWHERE = "cg-nowhere"
WORKER = ContainerSpec(
    name=f"worker-{secrets.token_hex(4)}",
    command=("sleep", "120"),
    deadline_seconds=120,
    network=Network.EGRESS,
)


@pytest.mark.service
def test_server_on_every_address_is_told_and_one_on_loopback_is_not() -> None:
    with socket.create_server(("0.0.0.0", 0)) as public, socket.create_server(("127.0.0.1", 0)) as private:
        found = exposure.open_ports(NOWHERE)
        line = doctor.exposure_of(NOWHERE).line()

        number, hidden = public.getsockname()[1], private.getsockname()[1]

    assert number in {open_port.port for open_port in found}
    assert hidden not in {open_port.port for open_port in found}
    assert line.startswith("note workers' reach: containers reach these ports of this machine: ")
    assert f"{number} (" in line
    assert f"iptables -I INPUT -i {NOWHERE} -j REJECT" in line


@pytest.mark.unit
def test_port_is_named_with_its_program_if_that_is_known() -> None:
    assert [str(OpenPort(22, "sshd")), str(OpenPort(80))] == ["22 (sshd)", "80"]


@pytest.fixture
def runtime() -> Iterator[DockerRuntime]:
    installation = f"t{secrets.token_hex(5)}"
    with docker_engine.installation(
        installation=installation, interface=bridge_name(installation)
    ) as started:
        yield started


def reaches(runtime: DockerRuntime, address: str, port: int) -> bool:
    """Tell whether a connection from inside a container succeeds."""
    script = f"exec 3<>/dev/tcp/{address}/{port}"
    return runtime.exec(WORKER.name, ["timeout", "3", "bash", "-c", script]).exit_code == 0


@pytest.mark.service
@pytest.mark.docker
def test_repair_that_is_told_closes_all_but_the_edge(runtime: DockerRuntime) -> None:
    if shutil.which("iptables") is None:
        pytest.skip("the repair needs iptables")
    gateway, interface = runtime.gateway(), bridge_name(runtime.installation)
    runtime.start(replace(WORKER, labels={}))
    repair = exposure.closing_rules(interface)

    with socket.create_server(("0.0.0.0", 0)) as stranger, socket.create_server((gateway, ports.API)) as edge:
        number, ours = stranger.getsockname()[1], edge.getsockname()[1]
        before = [reaches(runtime, gateway, port) for port in (number, ours)]
        told = {open_port.port for open_port in exposure.open_ports(interface)}
        try:
            subprocess.run(["sh", "-c", repair], check=True)
            after = [reaches(runtime, gateway, port) for port in (number, ours)]
            finding = doctor.exposure_of(interface)
        finally:
            subprocess.run(["sh", "-c", repair.replace("-I", "-D")], check=True)

    assert (before, after) == ([True, True], [False, True])
    assert number in told
    assert ours not in told
    assert (finding.is_ok, finding.text) == (True, "of this machine nothing but the edge")
