"""An HTTP server that speaks OpenAI's chat, files and batches protocols as a writer, with faults on demand."""

import json
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from cachewarm_pipeline.candidates.variant_writers.openai_writer import OpenAIWriter
from cachewarm_pipeline.candidates.variant_writers.writer_question import WriterModel
from cachewarm_pipeline.errors import LlmError
from cachewarm_pipeline.models.budgets import ModelBudget
from cachewarm_pipeline.ports import BaseQuery, Llm
from tests.support.chat_server import COMPLETION_TOKENS, KEY, MODEL, PROMPT_TOKENS, as_response, saying

PRICE = (PROMPT_TOKENS * 0.40 + COMPLETION_TOKENS * 1.60) / 1e6
"""Cost in USD of one answer of this server at the prices of gpt-4.1-mini."""
PER_ANSWER = PROMPT_TOKENS + COMPLETION_TOKENS


def bases(n: int, agent_type: str = "reviewer") -> list[BaseQuery]:
    return [BaseQuery(agent_type, f"How do I rotate key number {number}?") for number in range(n)]


def asked(body: dict[str, Any]) -> dict[str, Any]:
    """The data in a chat request."""
    data = json.loads(body["messages"][-1]["content"])
    assert isinstance(data, dict)
    return data


def written(data: dict[str, Any]) -> dict[str, Any]:
    """The reply of this model: variants that contain their base, or an answer."""
    if "n" not in data:
        return {"answer": f"The answer to {data['request']}"}
    return {"variants": [f"{data['request']} ({number})" for number in range(data["n"])]}


def variants_of(base: BaseQuery, n: int = 3) -> list[str]:
    return [f"{base.prompt} ({number})" for number in range(n)]


class WriterServer:
    """Sends the prepared faults, then answers as documented, and records the requests."""

    def __init__(self, http: HTTPServer) -> None:
        self.http = http
        self.url = http.url_for("/v1")
        self.paths: list[str] = []
        """Method and path of every request."""
        self.requests: list[dict[str, Any]] = []
        """Bodies of chat requests, without the lines of batches."""
        self.keys: set[str | None] = set()
        self.faults: dict[str, list[Response]] = {}
        """The next answers by method and path, for example "POST /v1/chat/completions"."""
        self.reply: Callable[[dict[str, Any]], Any] = lambda body: saying(json.dumps(written(asked(body))))
        """Returns the chat completion; a Response is sent unchanged."""
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.busy = self.most_busy = 0
        self.gate = threading.Event()
        """Chat answers wait until it is set."""
        self.gate.set()
        self._lock = threading.Lock()
        http.expect_request(re.compile("/v1/.*")).respond_with_handler(self._answer)

    @property
    def prompts(self) -> list[str]:
        return [asked(body)["request"] for body in self.requests]

    def fault(self, *responses: Response, at: str = "POST /v1/chat/completions") -> None:
        self.faults.setdefault(at, []).extend(responses)

    def lines(self, batch_id: str) -> list[dict[str, Any]]:
        """The requests of a batch, as uploaded."""
        return [json.loads(line) for line in self.files[self.batches[batch_id]["input_file_id"]].splitlines()]

    def finish(
        self,
        batch_id: str,
        status: str = "completed",
        *,
        change: Callable[[dict[str, Any]], Any] = lambda line: line,
        errors: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Ends a batch. ``change`` gets each line of output and returns its replacement, or None to omit it."""
        output = []
        for request in self.lines(batch_id):
            response = {"status_code": 200, "request_id": "r", "body": self.reply(request["body"])}
            line = change({"id": "b", "custom_id": request["custom_id"], "response": response, "error": None})
            output += [] if line is None else [line if isinstance(line, bytes) else json.dumps(line).encode()]
        batch = self.batches[batch_id]
        batch["status"] = status
        for field, found in (
            ("output_file_id", output),
            ("error_file_id", [json.dumps(line).encode() for line in errors]),
        ):
            if found:
                batch[field] = f"file-{field}-{batch_id}"
                self.files[batch[field]] = b"\n".join(found)

    def _answer(self, request: Request) -> Response:
        at = f"{request.method} {request.path}"
        with self._lock:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            self.paths.append(at)
            self.keys.add(request.headers.get("authorization"))
            if request.path == "/v1/chat/completions":
                self.requests.append(json.loads(request.data))
            fault = self.faults[at].pop(0) if self.faults.get(at) else None
        try:
            if fault is not None:
                return fault
            if request.path == "/v1/chat/completions":
                self.gate.wait(30)
                reply = self.reply(json.loads(request.data))
                return reply if isinstance(reply, Response) else as_response(reply)
            return self._batch(request)
        finally:
            with self._lock:
                self.busy -= 1

    def _batch(self, request: Request) -> Response:
        parts = request.path.removeprefix("/v1/").split("/")
        if request.method == "POST" and parts == ["files"]:
            id = f"file-{len(self.files)}"
            self.files[id] = request.files["file"].read()
            return as_response({"id": id, "object": "file", "purpose": request.form["purpose"]})
        if request.method == "POST" and parts == ["batches"]:
            return as_response(self.create(json.loads(request.data)))
        if parts == ["batches"]:
            return as_response({"object": "list", "data": list(self.batches.values())[::-1], "has_more": False})
        if parts[0] == "batches" and parts[1] in self.batches:
            if parts[2:] == ["cancel"]:
                self.batches[parts[1]]["status"] = "cancelling"
            return as_response(self.batches[parts[1]])
        if parts[0] == "files" and parts[1] in self.files and parts[2:] == ["content"]:
            return Response(self.files[parts[1]], content_type="application/octet-stream")
        return Response(json.dumps({"error": {"message": "no such thing"}}), 404, content_type="application/json")

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Creates a batch as the server does."""
        id = f"batch_{len(self.batches)}"
        self.batches[id] = {"id": id, "object": "batch", "status": "validating", "errors": None, **body}
        return self.batches[id]


def open_model(server: WriterServer | str, **options: Any) -> WriterModel:
    """A model that talks to the fake server, with few and quick retries."""
    url = server if isinstance(server, str) else server.url
    return WriterModel(MODEL, **{"api_key": KEY, "base_url": url, "timeout": 10.0, "max_retries": 2, **options})


def open_writer(
    server: WriterServer | str,
    base: Path | str,
    *,
    limit: float = 1.0,
    max_tokens: int | None = None,
    messages: list[str] | None = None,
    n: int = 3,
    temperature: float = 0.8,
    concurrency: int = 4,
    batch: bool = False,
    **options: Any,
) -> OpenAIWriter:
    """A writer with its written texts under ``base``, a budget of its own and the prices of gpt-4.1-mini.

    ``messages`` gets its progress."""
    return OpenAIWriter(
        open_model(server, **options),
        f"{base}/written",
        ModelBudget(limit, 0.40, 1.60, max_tokens),
        (messages if messages is not None else []).append,
        n=n,
        temperature=temperature,
        concurrency=concurrency,
        batch=batch,
    )


def refusal(writer: OpenAIWriter, of: Sequence[BaseQuery] = tuple(bases(1))) -> str:
    """The message of the error when writing is refused. Asserts that it is one short line without secrets."""
    with pytest.raises(LlmError) as caught:
        writer.variants(of)
    message = str(caught.value)
    assert "\n" not in message
    assert "Qsecret" not in message
    assert len(message) < 500
    return message


def counted(writer: Llm) -> int:
    """The number of bases in the usage, each counted once."""
    usage = writer.usage
    return usage.written + usage.known + usage.pending + usage.over_cap + sum(usage.failed.values())
