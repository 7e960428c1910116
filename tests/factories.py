"""Rows for tests: one function per model, honest defaults, every field can be given."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from apps.documents.models import Document
from apps.graph.models import Run, RunStatus
from apps.infra.models import (
    DeploymentStatus,
    Server,
    ServerKind,
    ServerStatus,
    ServiceDeployment,
    SshIdentity,
)
from apps.projects.models import (
    MergeRequest,
    Project,
    ProjectSecret,
    ProjectStatus,
    Task,
    TaskType,
    User,
)
from apps.workers.models import Turn, Verification, Worker, WorkerStatus

MANIFEST: dict[str, Any] = {
    "version": 1,
    "modules": ["backend"],
    "commands": {"setup": "make setup", "check": "make check", "tests": "make tests-list"},
    "services": [
        {"name": "backend", "run": "make run", "port": "web", "health": "/health", "data": "data"},
    ],
    "protected": ["project.yaml", "Makefile", "tests/conftest.py", ".github/**"],
}


def make_sha(text: str | None = None) -> str:
    """Return forty hexadecimal digits: of a text, or never seen before."""
    return hashlib.sha1(text.encode()).hexdigest() if text is not None else secrets.token_hex(20)


def make_user(**fields: Any) -> User:
    """A person who may log in with the password `correct horse battery`."""
    fields.setdefault("username", f"user-{secrets.token_hex(4)}")
    return User.objects.create_user(password="correct horse battery", **fields)


def make_project(**fields: Any) -> Project:
    """A draft; with status=active the repository's facts are filled in, too."""
    token = secrets.token_hex(4)
    fields.setdefault("owner", None)
    fields["owner"] = fields["owner"] or make_user()
    if fields.get("status") == ProjectStatus.ACTIVE:
        fields = {**_repository_facts(), **fields}
    defaults = {"name": f"Project {token}", "slug": f"project-{token}", "modules": ["backend"]}
    return Project.objects.create(**{**defaults, **fields})


def _repository_facts() -> dict[str, Any]:
    sha, project_id = make_sha(), uuid4()
    return {
        "id": project_id,
        "head_sha": sha,
        "scaffold_sha": sha,
        "workspace_name": f"workspaces/{project_id}/{sha}.bundle",
        "workspace_sha256": hashlib.sha256(sha.encode()).hexdigest(),
        "repository_url": "https://forge.example/project",
        "template_version": "1.0.0",
        "manifest": MANIFEST,
    }


def make_document(**fields: Any) -> Document:
    """A document of a project."""
    fields["project"] = fields.get("project") or make_project()
    token = secrets.token_hex(4)
    defaults = {"path": f"docs/{token}.md", "blob_sha": make_sha(), "title": "Books", "text": "Lends."}
    return Document.objects.create(**{**defaults, **fields})


def make_secret(**fields: Any) -> ProjectSecret:
    """A secret of a project."""
    fields.setdefault("project_id", fields.pop("project").pk if "project" in fields else make_project().pk)
    return ProjectSecret.objects.create(**{"key": "API_KEY", "value": "s3cret-value", **fields})


def make_task(**fields: Any) -> Task:
    """A pending engineering task of an active project, asked for by its owner."""
    project = fields.pop("project", None) or make_project(status=ProjectStatus.ACTIVE)
    defaults = {"type": TaskType.ENGINEERING, "spec": "an inventory of books", "requested_by": project.owner}
    return Task.objects.create(project=project, **{**defaults, **fields})


def make_merge_request(**fields: Any) -> MergeRequest:
    """A proposed change that nobody has looked at yet."""
    task = fields.pop("task", None) or make_task()
    sha256 = secrets.token_hex(32)
    defaults = {
        "idempotency_key": f"change-{secrets.token_hex(6)}",
        "project": task.project,
        "title": "Add books",
        "branch": f"task/{task.pk.hex[:8]}-1",
        "base_sha": task.project.head_sha or make_sha(),
        "head_sha": make_sha(),
        "bundle_name": f"snapshots/{uuid4()}/{sha256}.bundle",
        "bundle_sha256": sha256,
        "deadline_at": timezone.now() + timedelta(minutes=2),
    }
    return MergeRequest.objects.create(task=task, **{**defaults, **fields})


def make_worker(**fields: Any) -> Worker:
    """A running developer worker with the rehearsal agent."""
    defaults = {
        "idempotency_key": f"worker-{secrets.token_hex(6)}",
        "worker_type": "developer",
        "agent_type": "rehearsal",
        "status": WorkerStatus.RUNNING,
        "token_sha256": secrets.token_hex(32),
        "password_sha256": secrets.token_hex(32),
        "base_branch": "main",
        "base_sha": make_sha(),
        "branch": "task/0a1b2c3d-1",
        "deadline_at": timezone.now() + timedelta(minutes=5),
    }
    if "owner_id" not in fields:
        fields["owner_id"] = make_user().pk
    return Worker.objects.create(**{**defaults, **fields})


def make_turn(**fields: Any) -> Turn:
    """A turn that was not sent yet."""
    worker = fields.pop("worker", None) or make_worker()
    defaults = {
        "idempotency_key": f"turn-{secrets.token_hex(6)}",
        "number": worker.turns.count() + 1,
        "prompt": "an inventory of books",
        "timeout_seconds": 600,
        "deadline_at": timezone.now() + timedelta(minutes=15),
    }
    return Turn.objects.create(worker=worker, **{**defaults, **fields})


def make_verification(**fields: Any) -> Verification:
    """Checks that were not started yet."""
    defaults = {
        "idempotency_key": f"verification-{secrets.token_hex(6)}",
        "project_id": uuid4(),
        "bundle_name": f"checkouts/{uuid4()}.bundle",
        "bundle_sha256": secrets.token_hex(32),
        "base_sha": make_sha(),
        "head_sha": make_sha(),
        "commands": MANIFEST["commands"],
        "protected": MANIFEST["protected"],
        "deadline_at": timezone.now() + timedelta(minutes=10),
    }
    return Verification.objects.create(**{**defaults, **fields})


def make_run(**fields: Any) -> Run:
    """A run that nobody has driven yet."""
    task = fields.pop("task", None) or make_task()
    defaults = {
        "flow": task.type,
        "flow_version": 1,
        "status": RunStatus.PENDING,
        "deadline_at": timezone.now() + timedelta(minutes=30),
    }
    return Run.objects.create(task=task, **{**defaults, **fields})


def make_server(**fields: Any) -> Server:
    """An active server on this machine; ``identity`` is the private key that deployments log in with."""
    identity = fields.pop("identity", "")
    defaults = {
        "name": f"server-{secrets.token_hex(4)}",
        "kind": ServerKind.LOCAL,
        "host": "127.0.0.1",
        "status": ServerStatus.ACTIVE,
        "port_range_start": 21_000,
        "port_range_end": 21_999,
    }
    server = Server.objects.create(**{**defaults, **fields})
    if identity:
        SshIdentity.objects.create(server=server, purpose="deploy", status="installed", private_key=identity)
    return server


def make_deployment(**fields: Any) -> ServiceDeployment:
    """A release that was not installed yet; with status=live it has a URL."""
    project_id: UUID = fields.pop("project_id", None) or uuid4()
    defaults: dict[str, Any] = {
        "idempotency_key": f"deployment-{secrets.token_hex(6)}",
        "project_slug": f"project-{project_id.hex[:8]}",
        "service_name": "backend",
        "commit_sha": make_sha(),
        "bundle_name": f"workspaces/{project_id}/{make_sha()}.bundle",
        "bundle_sha256": secrets.token_hex(32),
        "setup_command": "make setup",
        "run_command": "make run",
        "health_path": "/health",
        "data_directory": "data",
    }
    if fields.get("status") == DeploymentStatus.LIVE:
        defaults["url"] = "http://127.0.0.1:21000"
    if "owner_id" not in fields:
        fields["owner_id"] = make_user().pk
    if "server" not in fields:
        fields["server"] = make_server()
    return ServiceDeployment.objects.create(project_id=project_id, **{**defaults, **fields})
