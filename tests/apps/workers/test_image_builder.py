"""Which image a worker needs, and how it is described (seed: test_image_builder)."""

from dataclasses import replace
from pathlib import Path

import pytest

from apps.workers.image_builder import ImageBuilder, compute_image_hash, mirrors
from apps.workers.image_recipe import UnknownAgent, UnknownCapability
from apps.workers.image_sources import CertificateRefused, Sources, read_sources
from apps.workers.runtime.base import RuntimeUnavailable
from apps.workers.runtime.image_build import build_missing
from tests.fakes_images import FakeImages

pytestmark = pytest.mark.unit
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def sources(**files: str) -> Sources:
    content = {"worker_image/Dockerfile": b"FROM x AS common", "worker_image/cli/main.py": b"1"}
    named = {name.replace("__", "/"): text.encode() for name, text in files.items()}
    return Sources(base_image="debian", files={**content, **named})


def builder(found: Sources | None = None, *, prefix: str = "p") -> ImageBuilder:
    return ImageBuilder(FakeImages(), prefix=prefix, sources=lambda: found or sources())


class TestImageHashWithAgentType:
    def test_same_capabilities_different_agent_produce_different_hash(self) -> None:
        hash_claude = compute_image_hash(["GIT"], agent_type="claude")
        hash_factory = compute_image_hash(["GIT"], agent_type="factory")

        assert hash_claude != hash_factory

    def test_hash_deterministic_with_agent_type(self) -> None:
        first = compute_image_hash(["GIT", "CURL"], agent_type="claude")
        second = compute_image_hash(["CURL", "GIT"], agent_type="claude")

        assert first == second

    def test_repetition_and_case_do_not_matter(self) -> None:
        plain = compute_image_hash(["git"], "claude", base_hash="b")
        shouted = compute_image_hash(["GIT", "Git", " git "], "claude", base_hash="b")

        assert plain == shouted
        assert len(plain) == 12
        assert int(plain, 16) >= 0

    def test_base_image_matters(self) -> None:
        hashes = {compute_image_hash([], "claude", base_hash=base) for base in ("a", "b")}

        assert len(hashes) == 2

    def test_base_made_anew_under_its_old_name_makes_other_images(self) -> None:
        store = FakeImages()
        found = []
        for name in (None, "sha256:old", "sha256:new", "sha256:new"):
            if name:
                store.put("debian")
                store.states["debian"] = replace(store.states["debian"], id=name)
            made = ImageBuilder(store, prefix="p", sources=sources)
            found.append((made.common_tag, made.base_tag, made.recipe("claude").tag))

        assert len({tag for tags in found for tag in tags}) == 9
        assert found[2] == found[3]

    def test_base_of_a_daemon_that_does_not_answer_is_asked_for_again(self) -> None:
        store = FakeImages()
        store.put("debian")
        made = ImageBuilder(store, prefix="p", sources=sources)
        store.is_down = True
        with pytest.raises(RuntimeUnavailable):
            made.recipe("claude")
        store.is_down = False

        assert made.sources.base_id == store.states["debian"].id

    def test_unknown_words_are_refused(self) -> None:
        with pytest.raises(UnknownCapability):
            compute_image_hash(["teleport"], "claude", base_hash="b")
        with pytest.raises(UnknownAgent):
            compute_image_hash([], "hal", base_hash="b")


class TestDockerfile:
    def test_layers_go_from_common_to_agent_to_capabilities_to_our_code(self) -> None:
        text = builder().recipe("claude", ["github_cli"]).dockerfile

        order = [text.index(word) for word in ("-common:", "claude-code@", " gh ", "COPY --from=p-base:")]

        assert order == sorted(order)

    def test_capabilities_that_the_base_brings_add_no_layer(self) -> None:
        plain = builder().recipe("codex").dockerfile
        rich = builder().recipe("codex", ["git", "curl", "node", "python"]).dockerfile

        assert rich.count("\nRUN ") == plain.count("\nRUN ")

    def test_worker_is_not_root_at_the_end(self) -> None:
        text = builder().recipe("factory", ["docker"]).dockerfile

        users = [line for line in text.splitlines() if line.startswith("USER ")]

        assert users[-1] == "USER worker"

    def test_agent_is_a_label(self) -> None:
        assert 'LABEL codegen.agent_type="codex"' in builder().recipe("codex").dockerfile


def test_tag_is_prefix_and_hash() -> None:
    recipe = builder(prefix="worker-test").recipe("claude", ["git"])

    assert recipe.tag == f"worker-test:{recipe.hash}"
    assert recipe.hash == compute_image_hash(["git"], "claude", base_hash=sources().base_hash)


def test_our_own_code_changes_the_base_and_not_what_it_stands_on() -> None:
    before, after = sources(), sources(worker_image__new="x")

    assert before.common_hash == after.common_hash
    assert before.base_hash != after.base_hash


def test_base_image_is_built_in_two_steps() -> None:
    steps = builder().base().steps

    assert [step.target for step in steps] == ["common", "base"]
    assert steps[0].arguments["BASE_IMAGE"] == "debian"


def test_certificates_are_part_of_the_identity(tmp_path: Path) -> None:
    without = read_sources("debian", tmp_path)
    (tmp_path / "company.crt").write_text(PEM)

    found = read_sources("debian", tmp_path)

    assert "worker_image/extra-ca/company.crt" in found.files
    assert found.common_hash != without.common_hash


def test_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "company.crt").write_text("hello")

    with pytest.raises(CertificateRefused):
        read_sources("debian", tmp_path)


def test_missing_directory_of_certificates_is_none_at_all(tmp_path: Path) -> None:
    assert read_sources("debian", tmp_path / "nothing").files == read_sources("debian", None).files


def test_archive_is_the_same_for_the_same_files() -> None:
    assert read_sources("debian", None).archive() == read_sources("debian", None).archive()


def test_mirror_with_a_password_stays_out_of_the_image() -> None:
    found = mirrors({"PIP_INDEX_URL": "https://me:secret@mirror/simple", "HTTPS_PROXY": "http://proxy:3128"})

    assert found == {"HTTPS_PROXY": "http://proxy:3128"}


def test_what_is_built_anew_takes_along_what_stands_on_it(tmp_path: Path) -> None:
    found = builder()
    packed = found.pack(found.base())
    first = build_missing(found.store, packed.requests(), locks=tmp_path, on_line=str)

    again = build_missing(found.store, packed.requests(no_cache=True), locks=tmp_path, on_line=str)

    assert found.store.built == [found.common_tag, found.base_tag] * 2
    assert [request.no_cache for request in packed.requests(no_cache=True)] == [True, False]
    assert first.tags == again.tags


def test_what_is_there_is_not_built(tmp_path: Path) -> None:
    found = builder()
    found.store.put(found.common_tag)
    found.store.put(found.base_tag)

    build_missing(found.store, found.pack(found.base()).requests(), locks=tmp_path, on_line=str)

    assert found.store.built == []
