"""What a person reads on the card when GitHub, its settings or the template are not as they should be."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils import timezone

from apps.graph import checkpoints, selectors
from apps.graph.models import Run
from apps.projects import composition, dispatching, services
from apps.projects.models import Task
from apps.projects.reconciler import reconcile_project
from apps.projects.templating import RenderResult, TemplateAnswers
from apps.projects.tools import Tools
from orchestrator.celery import app as celery_app
from tests.apps.graph.test_deploy_workflow import make_ssh
from tests.apps.graph.world import World
from tests.factories import MANIFEST, make_secret
from tests.github_server.world import GitHub
from tests.template import foreign

pytestmark = [pytest.mark.service, pytest.mark.django_db, pytest.mark.usefixtures("memory", "broker")]

WORKFLOW = """
name: main
run-name: deploy ${{ inputs.correlation }}
on: {workflow_dispatch: {inputs: {correlation: {required: true}, sha: {}, ports: {}, rollback: {}}}}
jobs:
  deploy:
    runs-on: ubuntu-24.04
    steps:
      - {name: Build, run: "echo 'SyntaxError: never closed'; exit 1"}
"""
KEY = {"key": "BIG_KEY", "source": "user_secret", "consumers": ["backend"]}


@pytest.fixture(scope="session")
def memory(django_db_setup: None) -> Iterator[None]:
    """The flow engine's connections, closed before the test database is dropped."""
    assert celery_app.main
    yield
    checkpoints.close()


def render(destination: Path, *, answers: TemplateAnswers) -> RenderResult:
    """A template of three files, one of them a workflow that fails."""
    (destination / ".github" / "workflows").mkdir(parents=True)
    (destination / ".github" / "workflows" / "main.yml").write_text(WORKFLOW)
    (destination / "project.yaml").write_text(yaml.safe_dump({**MANIFEST, "environment": [KEY]}))
    (destination / "README.md").write_text(answers.project_name)
    return RenderResult(files=("README.md", "project.yaml"), template_version="7.0.0")


class Desk(World):
    """A task of a person, and the reconcilers that work on it with the real adapter."""

    def __init__(self, github: GitHub, forge: Any, place: Path, **fields: Any) -> None:
        super().__init__(project_status="draft", forge="github", **fields)
        self.github, self.now = github, timezone.now()
        self.tools = partial(
            Tools, forge=forge, hosting=forge, scratch=place / "scratch", now=lambda: self.now, render=render
        )

    def scaffold_for_real(self, **tools: Any) -> None:
        reconcile_project(project_id=self.project.pk, tools=self.tools(**tools))
        self.project.refresh_from_db()

    def deploy(self) -> None:
        """Deploy until it has ended, one way or the other."""
        make_ssh()
        self.start()
        for _ in range(30):
            self.advance()
            if self.run.status in Run.final_statuses():
                return
            self.look()
        raise AssertionError(f"The run still waits for {self.run.waiting_for}")

    def look(self) -> None:
        row = self.dispatches.latest("created_at")
        while dispatching.reconcile_dispatch(dispatch_id=row.pk, tools=self.tools()):
            pass
        for run in self.repository.runs:
            self.github.runner.wait(run)
        self.now += timedelta(seconds=61)

    @property
    def dispatches(self) -> Any:
        return self.project.dispatches

    @property
    def repository(self) -> Any:
        return self.github.find(self.github.org, self.project.slug)

    def read(self) -> tuple[str, str, str]:
        """Return code, kind and the last line of what a person is shown."""
        card = selectors.get_card(task_id=self.task.pk)
        assert card.failure is not None
        assert card.lines[-1].state == "failed"
        return card.failure["code"], card.failure["kind"], card.lines[-1].text


def no_organisation(github: GitHub, project: Any) -> dict[str, str]:
    return {"organisation": "nobody-at-all"}


def not_installed(github: GitHub, project: Any) -> dict[str, str]:
    github.app.is_installed = False
    return {}


def no_permission(github: GitHub, project: Any) -> dict[str, str]:
    github.app.granted["administration"] = "read"
    return {}


def no_key(github: GitHub, project: Any) -> dict[str, str]:
    return {"private_key": "nonsense"}


def key_of_another_app(github: GitHub, project: Any) -> dict[str, str]:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {"private_key": key.private_bytes(pem, form, serialization.NoEncryption()).decode()}


def name_taken(github: GitHub, project: Any) -> dict[str, str]:
    github.create_repository(project.slug)
    return {}


@pytest.mark.parametrize(
    ("spoil", "code", "kind", "advice"),
    [
        (no_organisation, "forge_organisation_not_found", "provider", "GITHUB_ORG"),
        (not_installed, "forge_app_not_installed", "provider", "install"),
        (no_permission, "forge_forbidden", "provider", "grant it on the app's page"),
        (no_key, "forge_credential_invalid", "provider", "GITHUB_APP_PRIVATE_KEY"),
        (key_of_another_app, "forge_credential_invalid", "provider", "check GITHUB_APP_ID"),
        (name_taken, "repository_taken", "user", "rename or delete it"),
    ],
)
def test_what_is_wrong_with_the_host_is_on_the_card(
    spoil: Any, code: str, kind: str, advice: str, github: GitHub, connect: Any, tmp_path: Path
) -> None:
    desk = Desk(github, None, tmp_path)
    forge = connect(**spoil(github, desk.project))
    desk.start()
    desk.advance()

    desk.scaffold_for_real(forge=forge, hosting=forge)
    desk.advance()

    assert desk.read()[:2] == (code, kind)
    assert advice in desk.read()[2]
    assert desk.task.reload().status == "failed"


def test_a_lacking_permission_is_named(github: GitHub, connect: Any, tmp_path: Path) -> None:
    no_permission(github, None)
    desk = Desk(github, connect(), tmp_path)
    desk.start()
    desk.advance()

    desk.scaffold_for_real()
    desk.advance()

    assert "administration: write" in desk.read()[2]


@pytest.mark.parametrize(
    ("change", "ref", "code", "advice"),
    [
        ({"README.md": "x"}, "9.9.9", "template_ref_missing", "correct SCAFFOLD_TEMPLATE_REF"),
        ({"template/zz.md.jinja": "{{ 1 / 0 }}"}, "0.4.0", "template_failed", "(zz.md.jinja:1). Mend"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Copier's open scandir
def test_what_is_wrong_with_the_template_is_on_the_card(
    change: dict[str, str],
    ref: str,
    code: str,
    advice: str,
    github: GitHub,
    connect: Any,
    tmp_path: Path,
    settings: Any,
) -> None:
    repository = foreign.make_repository(tmp_path / "theirs", foreign.FILES, tag="0.3.5")
    foreign.commit(repository, change, tag="0.4.0")
    (tmp_path / "mapping.yaml").write_text(foreign.MAPPING)
    settings.SCAFFOLD_TEMPLATE, settings.SCAFFOLD_TEMPLATE_REF = str(repository), ref
    settings.SCAFFOLD_TEMPLATE_MAP, settings.VAR_DIR = str(tmp_path / "mapping.yaml"), tmp_path / "var"
    desk = Desk(github, connect(), tmp_path)
    desk.start()
    desk.advance()

    desk.scaffold_for_real(render=composition.render_project)
    desk.advance()

    assert desk.read()[0] == code
    assert advice in desk.read()[2]


def workflow_absent(desk: Desk) -> None:
    manifest = {**(desk.project.manifest or {}), "deploy": {"workflow": "gone.yml"}}
    type(desk.project).objects.filter(pk=desk.project.pk).update(manifest=manifest)


def never_run(desk: Desk) -> None:
    desk.github.stage.loses_dispatches = True


def too_many(desk: Desk) -> None:
    names = [f"OTHER_{number}" for number in range(100)]
    desk.repository.secrets.update(dict.fromkeys(names, "of somebody else"))
    desk.repository.secret_dates.update(dict.fromkeys(names, ("2026-01-01T00:00:00Z",) * 2))


@pytest.mark.parametrize(
    ("spoil", "size", "code", "advice"),
    [
        (workflow_absent, 10, "workflow_not_found", "Look at deploy in project.yaml"),
        (never_run, 10, "workflow_not_started", "see that Actions is enabled"),
        (lambda _: None, 49 * 1024, "secret_refused", "BIG_KEY is larger than 48 KB"),
        (too_many, 10, "secret_refused", "delete some"),
    ],
    ids=["workflow absent", "never run", "secret too large", "too many secrets"],
)
def test_what_keeps_a_deployment_from_running_is_on_the_card(
    spoil: Any, size: int, code: str, advice: str, github: GitHub, connect: Any, tmp_path: Path
) -> None:
    desk = Desk(github, connect(), tmp_path, type="deploy", spec="")
    services.request_scaffold(project_id=desk.project.pk)
    desk.scaffold_for_real()
    make_secret(project=desk.project, key="BIG_KEY", value="x" * size, digest="d")
    spoil(desk)

    desk.deploy()

    assert desk.read()[0] == code
    assert advice in desk.read()[2]
    assert desk.task.reload().status == "failed"
    assert desk.repository.runs == []


def test_a_log_of_many_megabytes_still_says_why(github: GitHub, connect: Any, tmp_path: Path) -> None:
    desk = Desk(github, connect(), tmp_path, type="deploy", spec="")
    services.request_scaffold(project_id=desk.project.pk)
    desk.scaffold_for_real()
    make_secret(project=desk.project, key="BIG_KEY", value="open sesame", digest="d")
    github.stage.log_padding_bytes = 5 * 2**20

    desk.deploy()

    card = selectors.get_card(task_id=desk.task.pk)
    mending = Task.objects.get(follows=desk.task)
    assert card.failure is not None
    assert (card.failure["code"], card.failure["kind"]) == ("workflow_failed", "product")
    assert "deploy, Build" in " ".join(line.text for line in card.lines)
    assert "SyntaxError: never closed" in mending.spec
    assert len(mending.spec) < 20_000
