"""A contract comes to variables per service, to what is missing, and to what has to be generated."""

import pytest

from apps.projects.environment import (
    EnvironmentUnresolved,
    Facts,
    KnownSecret,
    Value,
    as_json,
    resolve,
    variables_of,
    version_of,
)
from apps.projects.manifest import Manifest, parse_manifest

pytestmark = pytest.mark.unit

TEXT = """\
version: 1
modules: [backend, telegram]
commands: {setup: make setup, check: make check, tests: make tests-list}
services:
  - {name: backend, run: make run, port: web, health: /health, data: data}
  - {name: telegram, kind: bot, run: make bot}
environment:
  - {key: TOKEN, source: user_secret, consumers: [telegram], format: telegram_bot_token}
  - {key: HINT, source: user_secret, required: false, consumers: [telegram]}
  - {key: HINTED, source: derived, required: false, rule: "hint ${HINT}", consumers: [telegram]}
  - {key: SIGNING_KEY, source: generated_secret, consumers: [backend]}
  - {key: WEB_PORT, source: allocation, role: web}
  - {key: DATABASE_URL, source: derived, rule: "sqlite:///${data}/app.db", consumers: [backend],
     targets: [process]}
  - {key: DATABASE_URL, source: derived, rule: "postgresql://app:${DB_PASSWORD}@db/app",
     consumers: [backend], targets: [compose]}
  - {key: DB_PASSWORD, source: generated_secret, consumers: [db], targets: [compose]}
  - {key: API_URL, source: derived, rule: "http://${server.host}:${WEB_PORT}/${project.slug}",
     consumers: [backend, telegram]}
"""
FACTS = Facts(slug="books", name="Books", sha="c0ffee")
KEY = b"key"
GIVEN = {
    "TOKEN": KnownSecret(digest="d1", value="1:a"),
    "SIGNING_KEY": KnownSecret(digest="d2", value="signed"),
}


def manifest(text: str = TEXT) -> Manifest:
    return parse_manifest(text.encode())


def variables(index: int, *, facts: Facts = FACTS, text: str = TEXT) -> dict[str, Value]:
    found = manifest(text)
    return variables_of(found, found.services[index], facts=facts, secrets=GIVEN)


def test_what_only_a_person_knows_is_missing_and_the_rest_is_generated() -> None:
    found = resolve(manifest(), target="process", facts=FACTS, secrets={}, key=KEY)

    assert [entry.key for entry in found.missing] == ["TOKEN"]
    assert [entry.key for entry in found.to_generate] == ["SIGNING_KEY"]


def test_each_target_has_its_own_secrets() -> None:
    found = resolve(manifest(), target="compose", facts=FACTS, secrets=GIVEN, key=KEY)

    assert [entry.key for entry in found.to_generate] == ["DB_PASSWORD"]
    assert found.secret_keys == ("SIGNING_KEY", "TOKEN")
    assert found.roles == {"WEB_PORT": "web"}


def test_a_service_gets_what_it_consumes_and_nothing_else() -> None:
    found = variables(0)

    assert {key: as_json(value) for key, value in found.items()} == {
        "SIGNING_KEY": "signed",
        "DATABASE_URL": [["text", "sqlite:///"], ["fact", "data"], ["text", "/app.db"]],
        "API_URL": [["text", "http://"], ["fact", "host"], ["text", ":"], ["fact", "port"], ["text", "/"],
                    ["text", "books"]],
    }  # fmt: skip


def test_another_services_port_is_the_one_it_runs_on() -> None:
    found = variables(1, facts=Facts(slug="books", name="Books", sha="c0ffee", ports={"web": 21_004}))

    assert ("text", "21004") in found["API_URL"]


def test_a_port_that_nobody_has_yet_names_the_entry() -> None:
    with pytest.raises(EnvironmentUnresolved) as refused:
        variables(1)

    assert refused.value.details["field"] == "environment.WEB_PORT"


def test_what_rests_on_an_optional_secret_nobody_gave_is_left_out() -> None:
    found = variables(1, facts=Facts(slug="books", name="Books", sha="c0ffee", ports={"web": 1}))

    assert found.keys() == {"TOKEN", "API_URL"}


def test_a_value_that_is_with_the_git_host_only_is_not_taken_for_empty() -> None:
    found = manifest()
    secrets = {**GIVEN, "SIGNING_KEY": KnownSecret(digest="d2")}

    with pytest.raises(EnvironmentUnresolved):
        variables_of(found, found.services[0], facts=FACTS, secrets=secrets)


def test_digest_follows_secrets_and_contract_but_not_descriptions() -> None:
    def digest(text: str = TEXT, **secrets: KnownSecret) -> str:
        known = {**GIVEN, **secrets}
        return resolve(manifest(text), target="process", facts=FACTS, secrets=known, key=KEY).digest

    same = digest(TEXT.replace("format: telegram_bot_token", "format: telegram_bot_token, description: x"))

    assert same == digest()
    assert digest(TOKEN=KnownSecret(digest="other")) != digest()
    assert digest(TEXT.replace("hint $", "Hint $")) != digest()


def test_the_lists_of_older_manifests_mean_texts_that_people_give() -> None:
    older = TEXT[: TEXT.index("environment:")].replace("run: make bot", "run: make bot, secrets: [TOKEN, B]")
    found = resolve(manifest(older), target="process", facts=FACTS, secrets=GIVEN, key=KEY)

    assert [entry.key for entry in found.missing] == ["B"]
    assert variables(0, text=older).keys() == {"SIGNING_KEY"}
    assert found.missing[0].consumers == ("telegram",)


def test_version_names_the_content_not_its_order() -> None:
    assert version_of({"a": 1, "b": 2}) == version_of({"b": 2, "a": 1})
    assert version_of({"a": 1}) != version_of({"a": 2})


def test_a_secret_is_in_no_representation() -> None:
    assert "signed" not in repr(GIVEN["SIGNING_KEY"])
