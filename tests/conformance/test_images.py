"""What every store of images must do, checked on the one in memory and on a Docker daemon."""

import io
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import docker
import pytest

from apps.workers.runtime.base import RuntimeUnavailable
from apps.workers.runtime.docker_client import DockerConnection
from apps.workers.runtime.docker_images import DockerImages
from apps.workers.runtime.images import (
    BaseImageMissing,
    BuildRequest,
    ImageBuildFailed,
    ImageInUse,
    ImageStore,
)
from tests import docker_engine
from tests.fakes_images import FakeImages

pytestmark = pytest.mark.service


@dataclass
class Stage:
    """A store and the ways to provoke it."""

    store: ImageStore
    stranger: ImageStore
    tags: list[str] = field(default_factory=list)

    def request(self, *commands: str, base: str | None = None) -> BuildRequest:
        """Describe an image that nobody else has."""
        tag = f"codegen-test-images:{secrets.token_hex(6)}"
        self.tags.append(tag)
        lines = [f"FROM {base or self.base()}", "USER root", *(f"RUN {command}" for command in commands)]
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            content = "\n".join(lines).encode()
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        return BuildRequest(tag=tag, archive=buffer.getvalue(), dockerfile="Dockerfile", labels={"x": "y"})

    def base(self) -> str:
        return "debian"

    def fail(self, request: BuildRequest, command: str) -> None:
        """Let a build fail where the real one would."""

    def use(self, tag: str) -> None:
        """Make a container from an image."""

    def clean(self) -> None:
        """Leave nothing."""


class FakeStage(Stage):
    """The store in memory."""

    def fail(self, request: BuildRequest, command: str) -> None:
        self.fake.failing[request.tag] = f"RUN {command}"

    def use(self, tag: str) -> None:
        self.fake.used.add(tag)

    @property
    def fake(self) -> Any:
        return self.store


class DockerStage(Stage):
    """A daemon."""

    container: Any = None

    def base(self) -> str:
        return docker_engine.small_image()

    def use(self, tag: str) -> None:
        with closing(docker.DockerClient.from_env()) as client:
            self.container = client.api.create_container(tag, ["true"])["Id"]

    def clean(self) -> None:
        with closing(docker.DockerClient.from_env()) as client:
            if self.container:
                client.api.remove_container(self.container)
            for tag in self.tags:
                if client.images.list(name=tag):
                    client.images.remove(tag)


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.docker)])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    ours, theirs = f"t{secrets.token_hex(5)}", f"t{secrets.token_hex(5)}"
    made: Stage
    if request.param == "fake":
        fake = FakeImages(ours)
        stranger = FakeImages(theirs)
        stranger.states = fake.states
        made = FakeStage(store=fake, stranger=stranger)
    else:
        made = DockerStage(store=DockerImages(installation=ours), stranger=DockerImages(installation=theirs))
    yield made
    made.clean()


def ignore(_: str) -> None:
    """Say nothing."""


def test_absent_image_is_none(stage: Stage) -> None:
    assert stage.store.find("codegen-test-images:absent") is None


def test_built_image_is_found_and_ours(stage: Stage) -> None:
    lines: list[str] = []
    request = stage.request()

    built = stage.store.build(request, lines.append)

    assert stage.store.find(request.tag) == built
    assert [state.tags for state in stage.store.list_owned()] == [(request.tag,)]
    assert built.size_bytes > 0
    assert lines


def test_image_of_a_stranger_can_be_used_and_is_not_ours(stage: Stage) -> None:
    request = stage.request()

    stage.stranger.build(request, ignore)

    assert stage.store.find(request.tag) is not None
    assert stage.store.list_owned() == []


def test_failing_command_is_named(stage: Stage) -> None:
    request = stage.request("echo nothing && exit 7")
    stage.fail(request, "echo nothing && exit 7")

    with pytest.raises(ImageBuildFailed) as raised:
        stage.store.build(request, ignore)

    assert raised.value.details["failed_command"] == "RUN echo nothing && exit 7"
    assert stage.store.find(request.tag) is None


def test_removed_image_is_gone_and_may_be_removed_again(stage: Stage) -> None:
    request = stage.request()
    stage.store.build(request, ignore)

    stage.store.remove(request.tag)
    stage.store.remove(request.tag)

    assert stage.store.find(request.tag) is None


def test_image_with_a_container_is_in_use(stage: Stage) -> None:
    request = stage.request("echo for a container")
    stage.store.build(request, ignore)
    stage.use(request.tag)

    with pytest.raises(ImageInUse):
        stage.store.remove(request.tag)

    assert stage.store.find(request.tag) is not None


@pytest.mark.docker
def test_image_that_lost_its_tag_is_listed_and_goes_by_its_id() -> None:
    store = DockerImages(installation=f"t{secrets.token_hex(5)}")
    stage = DockerStage(store=store, stranger=store)
    first, newer = (stage.request(f"echo {secrets.token_hex(6)}") for _ in range(2))
    old = store.build(first, ignore)
    new = store.build(replace(newer, tag=first.tag), ignore)
    above = store.build(stage.request("echo above", base=old.id), ignore)

    with pytest.raises(ImageInUse):
        store.remove(old.id)
    with_heir = {state.id for state in store.list_owned()}
    store.remove(above.tags[0])
    without_heir = {state.id for state in store.list_owned()}
    store.remove(old.id)
    store.remove(old.id)

    assert with_heir >= {new.id, above.id}
    assert without_heir - {old.id} == {new.id}
    assert [state.id for state in store.list_owned()] == [new.id]
    stage.clean()


@pytest.mark.docker
def test_base_image_that_cannot_be_had_is_said_to_be_missing() -> None:
    stage = DockerStage(store=DockerImages(installation="t"), stranger=DockerImages(installation="t"))
    request = stage.request(base="codegen-test-images:never-was-there")

    with pytest.raises(BaseImageMissing) as raised:
        stage.store.build(request, ignore)

    assert raised.value.error_code == "base_image_missing"


def test_daemon_that_is_down_is_unavailable_at_every_verb() -> None:
    connection = DockerConnection(address="tcp://127.0.0.1:1", timeout_seconds=2)
    store = DockerImages(installation="t", connection=connection)
    request = BuildRequest(tag="x:y", archive=b"", dockerfile="Dockerfile")
    verbs = [
        lambda: store.find("x:y"),
        store.list_owned,
        lambda: store.remove("x:y"),
        lambda: store.build(request, ignore),
    ]

    for verb in verbs:
        with pytest.raises(RuntimeUnavailable):
            verb()
