"""The scripted model answers as its protocols say; the real agents are its other proof."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.model_server import (
    KEY,
    Call,
    ModelServer,
    Recall,
    Refuse,
    Run,
    Say,
    Scenario,
    Stall,
    Truncate,
    model_server,
)

pytestmark = pytest.mark.service

TOOLS = [{"name": "Bash"}]
SCENARIOS = (
    Scenario("list files", (Run("ls", text="I look."), Say("There are two."))),
    Scenario("any tool", (Call("Read", {"file_path": "/a"}), Say("Read."))),
    Scenario("be limited", (Refuse(429, times=1), Say("Now."))),
    Scenario("be broken", (Refuse(500),)),
    Scenario("stop half", (Truncate("Half"),)),
    Scenario("stand still", (Stall(),)),
    Scenario("what did I say", (Recall(),)),
)


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with model_server(*SCENARIOS) as server:
        yield server


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def ask(model: ModelServer, *messages: dict[str, Any], key: str = KEY, **fields: Any) -> httpx.Response:
    body = {"model": "m", "messages": list(messages), "tools": TOOLS, **fields}
    return httpx.post(f"{model.url}/v1/messages", json=body, headers={"x-api-key": key}, timeout=5)


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = response.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_steps_follow_the_answers_of_the_conversation(model: ModelServer) -> None:
    first = ask(model, user("please LIST files")).json()
    answered = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "a b"}]}

    second = ask(model, user("please list files"), {**first, "role": "assistant"}, answered).json()

    assert [block["type"] for block in first["content"]] == ["text", "tool_use"]
    assert (first["stop_reason"], first["content"][1]["input"]["command"]) == ("tool_use", "ls")
    assert (second["stop_reason"], second["content"][0]["text"]) == ("end_turn", "There are two.")


def test_stream_holds_the_same_answer_in_pieces(model: ModelServer) -> None:
    found = events(ask(model, user("any tool"), stream=True))

    parts = [item["delta"]["partial_json"] for item in found if item["type"] == "content_block_delta"]
    assert [found[0]["type"], found[-1]["type"]] == ["message_start", "message_stop"]
    assert json.loads("".join(parts)) == {"file_path": "/a"}


def test_second_prompt_of_a_conversation_begins_its_own_scenario(model: ModelServer) -> None:
    earlier = (user("list files"), {"role": "assistant", "content": "There are two."})

    said = ask(model, *earlier, user("what did I say")).json()["content"][0]["text"]

    assert json.loads(said) == ["list files", "what did I say"]


def test_refusal_ends_after_the_given_times(model: ModelServer) -> None:
    statuses = [ask(model, user("be limited")).status_code for _ in range(2)]

    assert statuses == [429, 200]


def test_refusal_without_times_never_ends(model: ModelServer) -> None:
    assert {ask(model, user("be broken")).status_code for _ in range(3)} == {500}


def test_truncated_stream_has_no_end(model: ModelServer) -> None:
    found = events(ask(model, user("stop half"), stream=True))

    assert [item["type"] for item in found][-1] == "content_block_delta"


def test_stalled_stream_says_nothing(model: ModelServer) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{model.url}/v1/messages",
            json={"messages": [user("stand still")], "stream": True},
            headers={"authorization": f"Bearer {KEY}"},
            timeout=0.5,
        )


def test_wrong_key_reaches_no_model_and_no_key_is_kept(model: ModelServer) -> None:
    before = len(model.asked)

    refused = ask(model, user("list files"), key="sk-wrong")

    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
    assert (len(model.asked), model.requests[-1].is_key_right) == (before, False)
    assert KEY not in repr(model)
    assert "sk-wrong" not in repr(model)


def test_tokens_are_counted(model: ModelServer) -> None:
    response = httpx.post(
        f"{model.url}/v1/messages/count_tokens", json=user("hello"), headers={"x-api-key": KEY}
    )

    assert response.json()["input_tokens"] > 0


def test_responses_protocol_calls_the_shell_of_its_client(model: ModelServer) -> None:
    body = {"model": "m", "stream": True, "input": "list files", "tools": [{"name": "exec_command"}]}

    found = events(httpx.post(f"{model.openai_url}/responses", json=body, headers={"x-api-key": KEY}))

    (item,) = found[-1]["response"]["output"]
    assert found[-1]["type"] == "response.completed"
    assert (item["name"], json.loads(item["arguments"])["cmd"]) == ("exec_command", "ls")


def test_responses_protocol_writes_a_program_where_the_client_runs_one(model: ModelServer) -> None:
    given = {"type": "additional_tools", "tools": [{"name": "functions", "tools": [{"name": "exec"}]}]}
    body = {"model": "m", "input": [given, user("list files")]}

    answer = httpx.post(f"{model.openai_url}/responses", json=body, headers={"x-api-key": KEY}).json()

    assert (answer["output"][0]["type"], answer["output"][0]["name"]) == ("custom_tool_call", "exec")
    assert '"cmd": "ls"' in answer["output"][0]["input"]


def test_other_addresses_are_not_found(model: ModelServer) -> None:
    assert httpx.get(f"{model.url}/v1/models").status_code == 404
    assert httpx.get(f"{model.url}/health").json() == {"status": "ok"}
