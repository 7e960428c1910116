"""The Responses protocol of OpenAI: a request read, an answer as server-sent events."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from tests.model_server.script import Answer, Call, Conversation, Run, Say

INPUT_TOKENS = 100
OUTPUT_TOKENS = 50
PROGRAM_TOOL = "exec"
ERRORS = {
    401: ("invalid_request_error", "invalid_api_key", "incorrect API key"),
    404: ("invalid_request_error", "not_found", "not found"),
    429: ("rate_limit_error", "rate_limit_exceeded", "too many requests"),
    500: ("server_error", "server_error", "internal server error"),
    529: ("server_error", "server_is_overloaded", "overloaded"),
}


def read(body: dict[str, Any]) -> Conversation:
    """Take what the script needs out of a request."""
    prompts: list[tuple[str, int]] = []
    results: list[str] = []
    answers = 0
    said = body.get("input")
    for item in [{"role": "user", "content": said}] if isinstance(said, str) else said or []:
        kind, role = item.get("type") or "message", item.get("role")
        if kind == "message" and role == "user":
            prompts.append((_words(item.get("content")), answers))
        elif kind.endswith("_call_output"):
            results.append(_printed(_words(item.get("output"))))
        elif role == "assistant" or kind.endswith("_call"):
            answers += 1
    return Conversation(
        prompts=tuple(prompts),
        answers=answers,
        tools=tuple(_tools(body)),
        tool_results=tuple(results),
        model=str(body.get("model") or ""),
        is_streaming=bool(body.get("stream")),
    )


def error(status: int) -> dict[str, Any]:
    """Return the body of a refusal."""
    kind, code, message = ERRORS[status]
    return {"error": {"type": kind, "code": code, "message": message, "param": None}}


def message(answer: Answer, conversation: Conversation) -> dict[str, Any]:
    """Return an answer as one object."""
    return _response(conversation, status="completed", output=[_item(answer, conversation)])


def opening(conversation: Conversation) -> Iterator[bytes]:
    """Yield how every stream begins."""
    begun = _response(conversation, status="in_progress", output=[])
    yield event("response.created", {"response": begun})
    yield event("response.in_progress", {"response": begun})


def sign_of_life() -> bytes:
    """Return what keeps a stream open without saying anything."""
    return b": keep-alive\n\n"


def body(answer: Answer, conversation: Conversation) -> Iterator[bytes]:
    """Yield one item and the end of the stream."""
    item = _item(answer, conversation)
    if item["type"] == "message":
        yield from begin_text()
        words = item["content"][0]["text"]
        yield from (text(words[start : start + 40]) for start in range(0, len(words), 40))
    else:
        yield event("response.output_item.added", {"output_index": 0, "item": item})
    yield event("response.output_item.done", {"output_index": 0, "item": item})
    ended = _response(conversation, status="completed", output=[item])
    yield event("response.completed", {"response": ended})


def begin_text() -> Iterator[bytes]:
    """Yield the begin of a message."""
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    yield event("response.output_item.added", {"output_index": 0, "item": item})


def text(part: str) -> bytes:
    """Return one piece of text."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return event("response.output_text.delta", {**place, "delta": part})


def event(kind: str, data: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def _item(answer: Answer, conversation: Conversation) -> dict[str, Any]:
    if isinstance(answer, Say):
        content = [{"type": "output_text", "text": answer.text, "annotations": []}]
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }
    if isinstance(answer, Run) and PROGRAM_TOOL in conversation.tools:
        return {**_program_call(answer), "call_id": f"call_{uuid4().hex}", "status": "completed"}
    call = answer if isinstance(answer, Call) else _shell_call(answer, conversation)
    return {
        "id": f"fc_{uuid4().hex}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{uuid4().hex}",
        "name": call.tool,
        "arguments": json.dumps(dict(call.input)),
    }


def _program_call(run: Run) -> dict[str, Any]:
    """Return the call of a client whose model writes programs: the shell is a function in them."""
    program = f"text(await tools.exec_command({json.dumps({'cmd': run.command, 'yield_time_ms': 30_000})}))"
    return {"id": f"ctc_{uuid4().hex}", "type": "custom_tool_call", "name": PROGRAM_TOOL, "input": program}


def _tools(body: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the tools, which newer clients give as an item of the conversation."""
    given = list(body.get("tools") or [])
    for item in body.get("input") or []:
        if isinstance(item, dict) and item.get("type") == "additional_tools":
            given += item.get("tools") or []
    while given:
        tool = given.pop(0)
        given += tool.get("tools") or []
        yield str(tool.get("name") or tool.get("type"))


def _shell_call(run: Run, conversation: Conversation) -> Call:
    if "exec_command" in conversation.tools:
        return Call("exec_command", {"cmd": run.command, "yield_time_ms": 30_000})
    if "shell_command" in conversation.tools:
        return Call("shell_command", {"command": run.command})
    return Call("shell", {"command": ["bash", "-c", run.command]})


def _response(conversation: Conversation, *, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    return {
        "id": f"resp_{uuid4().hex}",
        "object": "response",
        "created_at": 0,
        "status": status,
        "model": conversation.model,
        "output": output,
        "usage": usage if status == "completed" else None,
    }


def _printed(told: str) -> str:
    """Return what a command printed: the client may put it, with how it ended, into JSON on the last line."""
    try:
        wrapped = json.loads(told.rstrip().rsplit("\n", 1)[-1])
    except ValueError:
        return told
    output = wrapped.get("output") if isinstance(wrapped, dict) else None
    return output if isinstance(output, str) else told


def _words(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
