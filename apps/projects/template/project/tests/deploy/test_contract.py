"""The environment contract, the files made out of it and the workflow that hands it over agree."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy import environment
from deploy.contract import ROOT, ContractBroken, Values, entries, load, secrets
from deploy.plain_yaml import NotPlain, parse

SHA = "a" * 40
FACTS = {"project.slug": "books", "release.sha": SHA, "server.host": "198.51.100.7"}


def _contract(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"environment": list(listed)}


def _values(manifest: dict[str, Any], **given: str) -> dict[str, str]:
    return Values(manifest, given=given, ports={"WEB_PORT": 8001}, facts=FACTS).all()


def test_example_of_the_environment_is_up_to_date() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")

    assert text == environment.example(load()), "run `make env-example`"


def test_workflow_hands_over_the_secrets_of_the_contract_and_no_others() -> None:
    workflow = (ROOT / ".github" / "workflows" / "main.yml").read_text(encoding="utf-8")
    server = {"DEPLOY_HOST", "DEPLOY_PORT", "DEPLOY_USER", "DEPLOY_SSH_KEY", "DEPLOY_HOST_KEY"}

    named = set(re.findall(r"secrets\.([A-Z0-9_]+)", workflow))

    assert named == server | set(secrets(load()))
    for name in secrets(load()):
        assert f"{name}: ${{{{ secrets.{name} }}}}" in workflow


def test_required_check_is_a_job_of_the_workflow() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")

    for check in load()["checks"]:
        assert re.search(rf"^  {check}:$", workflow, re.MULTILINE)


def test_release_is_written_for_its_owner_only(tmp_path: Path) -> None:
    manifest = load()
    roles = [entry["key"] for entry in entries(manifest) if entry["source"] == "allocation"]
    given = {name: f"value-of-{name}$" for name in secrets(manifest)}
    given |= {entry["key"]: "ab" * 16 for entry in entries(manifest) if entry["source"] == "generated_secret"}
    ports = json.dumps(dict.fromkeys(roles, 8001))

    environment.write_release(
        tmp_path, {**given, "RELEASE": SHA, "PORTS": ports, "DEPLOY_HOST": "198.51.100.7"}
    )

    assert f"RELEASE={SHA}\n" in (tmp_path / ".env").read_text()
    content = json.loads((tmp_path / "compose.values.json").read_text())
    for entry in entries(manifest):
        for consumer in entry.get("consumers", []):
            assert content["services"][consumer]["environment"][entry["key"]]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert (tmp_path / "url").read_text() == ("http://198.51.100.7:8001" if roles else "")


def test_command_without_a_required_secret_says_which() -> None:
    manifest = _contract({"key": "TOKEN", "source": "user_secret"})

    with pytest.raises(ContractBroken, match="TOKEN"):
        _values(manifest)


def test_rule_is_filled_in_from_other_entries_and_facts() -> None:
    manifest = _contract(
        {"key": "URL", "source": "derived", "rule": "http://${HOST_NAME}:${WEB_PORT}/${project.slug}"},
        {"key": "HOST_NAME", "source": "derived", "rule": "${server.host}"},
        {"key": "WEB_PORT", "source": "allocation", "role": "web"},
    )

    assert _values(manifest)["URL"] == "http://198.51.100.7:8001/books"


def test_optional_secret_that_is_absent_leaves_out_what_rests_on_it() -> None:
    manifest = _contract(
        {"key": "KEY", "source": "user_secret", "required": False},
        {"key": "URL", "source": "derived", "rule": "x-${KEY}", "required": False},
        {"key": "LEVEL", "source": "literal", "value": "INFO"},
    )

    assert _values(manifest) == {"LEVEL": "INFO"}


@pytest.mark.parametrize(
    ("rule", "problem"), [("${B}", "leads back"), ("${NOTHING}", "unknown"), ("${A}", "leads back")]
)
def test_rule_that_leads_nowhere_is_refused(rule: str, problem: str) -> None:
    manifest = _contract(
        {"key": "A", "source": "derived", "rule": rule}, {"key": "B", "source": "derived", "rule": "${A}"}
    )

    with pytest.raises(ContractBroken, match=problem):
        _values(manifest)


@pytest.mark.parametrize("port", ["8000", 0, 70000, True])
def test_port_that_is_none_is_refused(port: Any) -> None:
    manifest = _contract({"key": "WEB_PORT", "source": "allocation", "role": "web"})

    with pytest.raises(ContractBroken, match="WEB_PORT"):
        Values(manifest, given={}, ports={"WEB_PORT": port}, facts=FACTS).all()


def test_entry_of_another_target_is_left_out() -> None:
    manifest = _contract({"key": "A", "source": "literal", "value": "1", "targets": ["process"]})

    assert _values(manifest) == {}


def test_generated_secret_that_needs_quotes_is_refused() -> None:
    manifest = _contract({"key": "PASSWORD", "source": "generated_secret"})

    with pytest.raises(ContractBroken, match="PASSWORD"):
        environment.dotenv(manifest, {"PASSWORD": "a b"}, FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1",
        "a: *x",
        "a: |\n  b",
        "a: yes",
        "a: 1.5",
        "a: 0x1f",
        "a: b: c",
        "a: 1\na: 2",
        "a: [1",
        "- {a}",
    ],
)
def test_what_readers_of_yaml_disagree_about_is_refused(text: str) -> None:
    with pytest.raises(NotPlain):
        parse(text)


def test_plain_yaml_is_read() -> None:
    text = '# head\na: [b, "c, d"]   # tail\ne:\n  - f: {g: 1, h: true}\n    i: "j: k"\n  - l\nm: make run\n'

    assert parse(text) == {
        "a": ["b", "c, d"],
        "e": [{"f": {"g": 1, "h": True}, "i": "j: k"}, "l"],
        "m": "make run",
    }


@pytest.mark.parametrize("arguments", [[], ["release"], ["unknown"]])
def test_command_line_is_checked(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.environment", *arguments], cwd=ROOT, capture_output=True, check=False
    )

    assert done.returncode == 2
