"""The Messages protocol of Anthropic: a request read, an answer as one object or as server-sent events."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from tests.model_server.script import Answer, Call, Conversation, Run, Say

INPUT_TOKENS = 100
OUTPUT_TOKENS = 50
SHELL_TOOLS = ("Bash", "Execute")
ERRORS = {
    401: ("authentication_error", "invalid x-api-key"),
    404: ("not_found_error", "not found"),
    429: ("rate_limit_error", "too many requests"),
    500: ("api_error", "internal server error"),
    529: ("overloaded_error", "overloaded"),
}


def read(body: dict[str, Any]) -> Conversation:
    """Take what the script needs out of a request."""
    prompts: list[tuple[str, int]] = []
    results: list[str] = []
    answers = 0
    for message in body.get("messages") or []:
        blocks = _blocks(message.get("content"))
        if message.get("role") == "assistant":
            answers += 1
            continue
        prompts += [(block["text"], answers) for block in blocks if block.get("type") == "text"]
        results += [_text(block) for block in blocks if block.get("type") == "tool_result"]
    return Conversation(
        prompts=tuple(prompts),
        answers=answers,
        tools=tuple(str(tool.get("name")) for tool in body.get("tools") or []),
        tool_results=tuple(results),
        model=str(body.get("model") or ""),
        is_streaming=bool(body.get("stream")),
    )


def error(status: int) -> dict[str, Any]:
    """Return the body of a refusal."""
    kind, message = ERRORS[status]
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{uuid4().hex}"}


def message(answer: Answer, conversation: Conversation) -> dict[str, Any]:
    """Return an answer as one object."""
    is_call = not isinstance(answer, Say)
    return {
        "id": f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": conversation.model,
        "content": _content(answer, conversation),
        "stop_reason": "tool_use" if is_call else "end_turn",
        "stop_sequence": None,
        "usage": _usage(OUTPUT_TOKENS),
    }


def opening(conversation: Conversation) -> Iterator[bytes]:
    """Yield how every stream begins."""
    begun = {**message(Say(""), conversation), "content": [], "stop_reason": None, "usage": _usage(1)}
    yield event("message_start", {"message": begun})
    yield event("ping", {})


def sign_of_life() -> bytes:
    """Return what a model that thinks sends."""
    return event("ping", {})


def body(answer: Answer, conversation: Conversation) -> Iterator[bytes]:
    """Yield the content blocks and the end of the stream."""
    whole = message(answer, conversation)
    for index, block in enumerate(whole["content"]):
        if block["type"] == "text":
            yield from begin_text(index)
            yield from (text(part, index) for part in _pieces(block["text"]))
        else:
            yield event("content_block_start", {"index": index, "content_block": {**block, "input": {}}})
            for part in _pieces(json.dumps(block["input"])):
                delta = {"type": "input_json_delta", "partial_json": part}
                yield event("content_block_delta", {"index": index, "delta": delta})
        yield event("content_block_stop", {"index": index})
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", {"delta": ending, "usage": {"output_tokens": OUTPUT_TOKENS}})
    yield event("message_stop", {})


def begin_text(index: int = 0) -> Iterator[bytes]:
    """Yield the begin of a text block."""
    yield event("content_block_start", {"index": index, "content_block": {"type": "text", "text": ""}})


def text(part: str, index: int = 0) -> bytes:
    """Return one piece of text."""
    return event("content_block_delta", {"index": index, "delta": {"type": "text_delta", "text": part}})


def event(kind: str, data: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def _content(answer: Answer, conversation: Conversation) -> list[dict[str, Any]]:
    words = [{"type": "text", "text": answer.text}] if answer.text or isinstance(answer, Say) else []
    if isinstance(answer, Say):
        return words
    call = answer if isinstance(answer, Call) else _shell_call(answer, conversation)
    use = {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": call.tool, "input": dict(call.input)}
    return [*words, use]


def _shell_call(run: Run, conversation: Conversation) -> Call:
    tool = next((name for name in SHELL_TOOLS if name in conversation.tools), SHELL_TOOLS[0])
    extra = {"description": "Run a command"} if tool == "Bash" else {"summary": "Run a command"}
    return Call(tool, {"command": run.command, **extra})


def _usage(output_tokens: int) -> dict[str, int]:
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": INPUT_TOKENS, **cache, "output_tokens": output_tokens}


def _blocks(content: object) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _text(block: dict[str, Any]) -> str:
    return "\n".join(str(part.get("text") or "") for part in _blocks(block.get("content")))


def _pieces(text: str, size: int = 40) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]
