"""The environment contract is refused where it could not be resolved, and the entry is named."""

import pytest

from apps.projects.manifest import Manifest, ManifestInvalid, parse_manifest

pytestmark = pytest.mark.unit

HEAD = """\
version: 1
modules: [backend, telegram]
commands: {setup: make setup, check: make check, tests: make tests-list}
services:
  - {name: backend, run: make run, port: web, health: /health, data: data}
  - {name: telegram, kind: bot, run: make bot}
environment:
"""
GOOD = """\
  - {key: TELEGRAM_BOT_TOKEN, source: user_secret, consumers: [telegram], format: telegram_bot_token,
     description: {en: The token BotFather gave you, ru: Токен от BotFather}}
  - {key: POSTGRES_PASSWORD, source: generated_secret, bytes: 24, consumers: [db], targets: [compose]}
  - {key: BACKEND_PORT, source: allocation, role: web, consumers: [backend]}
  - {key: DATABASE_URL, source: derived, rule: "sqlite:///${data}/app.db",
     consumers: [backend], targets: [process]}
  - {key: DATABASE_URL, source: derived, rule: "postgresql://app:${POSTGRES_PASSWORD}@db/app",
     consumers: [backend], targets: [compose]}
  - {key: PUBLIC_URL, source: derived, rule: "http://${server.host}:${BACKEND_PORT}/", consumers: [telegram]}
  - {key: LOG_LEVEL, source: literal, value: info, consumers: [backend, telegram]}
"""


def read(environment: str) -> Manifest:
    return parse_manifest((HEAD + environment).encode())


def test_a_contract_with_every_source_is_read() -> None:
    found = read(GOOD)

    assert [entry.source for entry in found.environment[:3]] == [
        "user_secret",
        "generated_secret",
        "allocation",
    ]
    assert found.environment[0].describe("ru") == "Токен от BotFather"
    assert found.environment[0].describe("de") == "The token BotFather gave you"


def test_what_is_not_written_has_defaults_so_that_older_projects_stay_valid() -> None:
    found = parse_manifest(HEAD.replace("environment:\n", "").encode())

    assert found.environment == ()
    assert found.checks == ("check",)
    assert (found.deploy.workflow, found.deploy.environment) == ("main.yml", "production")


def test_a_stored_manifest_can_be_read_again() -> None:
    found = read(GOOD)

    assert Manifest.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("old", "new", "key", "word"),
    [
        ("${data}/app.db", "${DATABASE_URL}", "DATABASE_URL", "leads back"),
        ("${data}/app.db", "${PUBLIC_URL}${NO_SUCH}", "DATABASE_URL", "unknown"),
        ("${data}/app.db", "${project.secret}", "DATABASE_URL", "unknown"),
        ("${data}/app.db", "${data", "DATABASE_URL", "unfinished"),
        ("consumers: [backend], targets: [process]", "consumers: [telegram]", "DATABASE_URL",
         "data directory"),
        ("info, consumers: [backend,", "info}\n  - {key: X, source: derived, rule: '${data}', consumers: [",
         "X", "data directory"),
        ("consumers: [backend]}\n", "consumers: [elsewhere]}\n", "BACKEND_PORT", "not a service"),
        ("role: web", "role: admin", "BACKEND_PORT", "port of role admin"),
        ("key: LOG_LEVEL", "key: HOST", "HOST", "every service"),
        ("key: LOG_LEVEL", "key: BACKEND_PORT", "BACKEND_PORT", "stands twice"),
    ],
)  # fmt: skip
def test_a_contract_that_cannot_be_resolved_names_the_entry(old: str, new: str, key: str, word: str) -> None:
    assert old in GOOD

    with pytest.raises(ManifestInvalid) as refused:
        read(GOOD.replace(old, new, 1))

    assert refused.value.details["field"] == f"environment.{key}"
    assert word in refused.value.message


@pytest.mark.parametrize(
    "entry",
    [
        "{key: A, source: user_secret, rule: x}",
        "{key: A, source: literal}",
        "{key: A, source: allocation}",
        "{key: A, source: derived}",
        "{key: A, source: generated_secret, bytes: 2}",
        "{key: A, source: user_secret, format: iban}",
        "{key: GITHUB_TOKEN, source: user_secret}",
        "{key: DEPLOY_HOST, source: generated_secret}",
        "{key: A, source: magic}",
        "{key: A, source: literal, value: x, targets: []}",
        "{key: A, source: literal, value: x, surplus: 1}",
    ],
)
def test_an_entry_that_does_not_fit_its_source_is_refused(entry: str) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        read(f"  - {entry}\n")

    assert refused.value.details["field"].startswith("environment.0")


def test_a_required_value_must_not_rest_on_an_optional_secret() -> None:
    optional = "  - {key: A, source: user_secret, required: false}\n"
    derived = '  - {key: B, source: derived, rule: "x${A}"}\n'

    with pytest.raises(ManifestInvalid) as refused:
        read(optional + derived)

    assert refused.value.details["field"] == "environment.B"


def test_rules_that_name_each_other_manifold_are_followed_once() -> None:
    chain = "".join(
        f'  - {{key: K{number}, source: derived, rule: "${{K{number + 1}}}${{K{number + 1}}}"}}\n'
        for number in range(120)
    )

    found = read(chain + "  - {key: K120, source: literal, value: x}\n")

    assert len(found.environment) == 121


def test_more_secrets_than_a_repository_may_have_are_refused() -> None:
    entries = "".join(f"  - {{key: K{number}, source: user_secret}}\n" for number in range(96))

    with pytest.raises(ManifestInvalid) as refused:
        read(entries)

    assert refused.value.details["limit"] == 95


@pytest.mark.parametrize(
    "service",
    [
        "{name: backend, run: x, port: web}",
        "{name: backend, run: x, health: /}",
        "{name: backend, kind: bot, run: x, port: web, health: /}",
        "{name: backend, kind: cron, run: x}",
    ],
)
def test_only_a_web_service_has_an_address(service: str) -> None:
    text = HEAD.replace("{name: backend, run: make run, port: web, health: /health, data: data}", service)

    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(text.replace("environment:\n", "").encode())

    assert refused.value.details["field"].startswith("services.0")
