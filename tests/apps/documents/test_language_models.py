"""Summaries from models that speak the providers' protocols over HTTP."""

from collections.abc import Iterator

import pytest

from apps.documents.language_models import (
    ClaudeSummariser,
    ModelRefused,
    ModelUnavailable,
    OpenAISummariser,
    Summariser,
)
from tests.model_server.script import Refuse, Say, Scenario
from tests.model_server.server import KEY, ModelServer, model_server

pytestmark = pytest.mark.unit

PROTOCOLS = ("anthropic", "openai")


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    scenarios = (
        Scenario("lends books", (Say("It lends\nbooks."),)),
        Scenario("too busy", (Refuse(529),)),
        Scenario("asked too often", (Refuse(429),)),
        Scenario("not for you", (Refuse(404),)),
        Scenario("says nothing", (Say(""),)),
    )
    with model_server(*scenarios) as running:
        yield running


def model(server: ModelServer, protocol: str, *, key: str = KEY) -> Summariser:
    if protocol == "anthropic":
        return ClaudeSummariser(name="claude-small", key=key, url=server.url)
    return OpenAISummariser(name="gpt-small", key=key, url=server.openai_url)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answer_is_the_summary(server: ModelServer, protocol: str) -> None:
    summary = model(server, protocol).summarise("The library lends books.")

    assert summary == "It lends books."


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("text", ["It is too busy.", "You asked too often."])
def test_busy_model_may_answer_later(server: ModelServer, protocol: str, text: str) -> None:
    with pytest.raises(ModelUnavailable):
        model(server, protocol).summarise(text)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("text", ["This is not for you.", "It says nothing."])
def test_model_that_will_not_is_told(server: ModelServer, protocol: str, text: str) -> None:
    with pytest.raises(ModelRefused):
        model(server, protocol).summarise(text)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_wrong_key_is_refused_and_stands_in_no_error(server: ModelServer, protocol: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        model(server, protocol, key="sk-wrong-key").summarise("The library lends books.")

    assert refused.value.details == {"status": 401}
    assert "sk-wrong-key" not in repr(model(server, protocol, key="sk-wrong-key"))


def test_absent_server_may_answer_later() -> None:
    with pytest.raises(ModelUnavailable):
        ClaudeSummariser(name="claude-small", key="k", url="http://127.0.0.1:9").summarise("Books.")
