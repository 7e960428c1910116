"""What a project brings for its delivery: pinned, valid, in agreement with its contract, and safe."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import ModuleType
from typing import Any

import pytest
import yaml

from apps.projects.environment import entries_of
from apps.projects.environment_contract import DEPLOY_SECRETS
from apps.projects.manifest import parse_manifest
from apps.projects.templating import known_modules
from tests.template.projects import COMBINATIONS, create_project

pytestmark = pytest.mark.unit

COMPOSE = ("compose.yaml", "compose.dev.yaml", "compose.prod.yaml")
WORKFLOWS = ("ci.yml", "main.yml")
PINNED_IMAGE = re.compile(r"[a-z0-9./-]+:[0-9]+\.[0-9]+(\.[0-9]+)?-[a-z-]+@sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def project(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A project of every choice of modules."""
    directory = Path(mkdtemp(dir="/tmp", prefix="files-"))
    yield create_project(directory / "project", "a thing", modules=request.param)
    rmtree(directory)


def _yaml(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def _workflow(project: Path, name: str) -> dict[str, Any]:
    return _yaml(project / ".github" / "workflows" / name)


def _plain_yaml(project: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_yaml", project / "deploy" / "plain_yaml.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_manifest_means_the_same_to_the_runner_and_to_us(project: Path) -> None:
    text = (project / "project.yaml").read_text(encoding="utf-8")

    assert _plain_yaml(project).parse(text) == yaml.safe_load(text)


def test_workflow_hands_over_the_secrets_that_the_control_plane_puts(project: Path) -> None:
    manifest = parse_manifest((project / "project.yaml").read_bytes())
    put = {entry.key for entry in entries_of(manifest, "compose") if entry.is_secret} | set(DEPLOY_SECRETS)

    text = (project / ".github" / "workflows" / "main.yml").read_text(encoding="utf-8")

    assert set(re.findall(r"secrets\.([A-Z0-9_]+)", text)) == put


def test_workflows_are_named_by_the_manifest_and_bounded(project: Path) -> None:
    manifest = parse_manifest((project / "project.yaml").read_bytes())
    ci, main = (_workflow(project, name) for name in WORKFLOWS)

    assert set(ci["jobs"]) == set(manifest.checks)
    assert manifest.deploy.workflow == "main.yml"
    # YAML reads the key `on` as true.
    assert set(main[True]["workflow_dispatch"]["inputs"]) == {"correlation", "sha", "ports", "rollback"}
    assert "${{ inputs.correlation }}" in main["run-name"]
    assert main["concurrency"]["cancel-in-progress"] is False
    assert main["permissions"] == {"contents": "read", "deployments": "write"}
    assert ci["permissions"] == {"contents": "read"}
    assert main["jobs"]["deploy"]["timeout-minutes"] == 30


def test_workflows_run_nothing_that_others_may_change(project: Path) -> None:
    for name in WORKFLOWS:
        for job in _workflow(project, name)["jobs"].values():
            assert job["runs-on"] == "ubuntu-24.04"
            assert all("uses" not in step for step in job["steps"])
            # What a person may write into an input is never pasted into a script.
            assert all("${{" not in step["run"] for step in job["steps"])


def test_nothing_floats(project: Path) -> None:
    images = re.findall(r"^ARG [A-Z]+_IMAGE=(\S+)$", (project / "Dockerfile").read_text(), re.MULTILINE)
    for name in COMPOSE:
        images += re.findall(r"\$\{[A-Z]+_IMAGE:-([^}]+)\}", (project / name).read_text())
    lines = [
        line for path in (project / "requirements").glob("*.txt") for line in path.read_text().splitlines()
    ]
    pins = [line for line in lines if not line.startswith("    --hash=sha256:")]
    everything = "\n".join(
        path.read_text(encoding="utf-8")
        for path in project.rglob("*")
        # Whoever ran something in it left bytecode there.
        if path.is_file() and not {".git", "__pycache__"} & set(path.parts)
    )

    assert images
    assert [image for image in images if not PINNED_IMAGE.fullmatch(image)] == []
    assert [line for line in pins if not re.match(r"[a-z0-9-]+==[0-9][^ ]* ", line)] == []
    assert not re.search(r":latest\b|-latest\b|@(main|master|v[0-9]+)\b", everything)


def test_images_are_built_from_the_argument_alone(project: Path) -> None:
    text = (project / "Dockerfile").read_text(encoding="utf-8")

    sources = re.findall(r"^FROM (\S+)", text, re.MULTILINE)

    assert set(sources) == {"${PYTHON_IMAGE}", "base"}
    assert "pip install --no-cache-dir --require-hashes" in text or "COPY requirements" not in text


def test_containers_have_no_rights_and_are_bounded(project: Path) -> None:
    manifest = parse_manifest((project / "project.yaml").read_bytes())
    base, _, production = (_yaml(project / name)["services"] for name in COMPOSE)
    expected = {service.name for service in manifest.services} | ({"db"} if "db" in base else set())

    assert set(base) == set(production) == expected
    for service in base.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] not in ("root", "0", "0:0")
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert "ports" not in service
    for service in production.values():
        assert {"mem_limit", "cpus", "pids_limit", "restart"} <= set(service)


def test_only_the_address_of_the_project_is_published(project: Path) -> None:
    published = {
        name: service["ports"]
        for name, service in _yaml(project / "compose.prod.yaml")["services"].items()
        if "ports" in service
    }
    web = {
        service.name
        for service in parse_manifest((project / "project.yaml").read_bytes()).services
        if service.kind == "web"
    }

    assert published == {name: ["${WEB_PORT:?}:8000"] for name in web}


def test_every_service_of_ours_has_a_health_check(project: Path) -> None:
    text = (project / "Dockerfile").read_text(encoding="utf-8")
    stages = re.split(r"^FROM base AS ", text, flags=re.MULTILINE)[1:]

    assert {stage.split()[0] for stage in stages} == {
        service.name for service in parse_manifest((project / "project.yaml").read_bytes()).services
    }
    for stage in stages:
        assert "HEALTHCHECK" in stage
        assert "USER 10001:10001" in stage


def test_delivery_is_out_of_an_agents_reach(project: Path) -> None:
    manifest = parse_manifest((project / "project.yaml").read_bytes())

    assert {".github/**", "deploy/**", "project.yaml", "Dockerfile", "compose*.yaml"} <= set(
        manifest.protected
    )


def test_shell_scripts_have_no_known_fault(project: Path) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("there is no shellcheck on this machine")
    scripts = sorted(map(str, (project / "deploy").glob("*.sh")))

    checked = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)

    assert scripts
    assert checked.returncode == 0, checked.stdout


def test_answers_of_every_choice_are_recorded_without_a_path(project: Path) -> None:
    recorded = _yaml(project / ".copier-answers.yml")

    assert set(recorded["modules"]) <= set(known_modules())
    assert str(project.parent) not in str(recorded)
