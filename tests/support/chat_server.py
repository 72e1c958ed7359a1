"""An HTTP server that speaks OpenAI's chat protocol as a judge, with faults on demand. The real client talks to it."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from cachewarm_pipeline.answers.equivalence_groups import is_blank
from cachewarm_pipeline.answers.judges.judge_question import JudgeModel
from cachewarm_pipeline.answers.judges.llm import LlmJudge, LocalProbability
from cachewarm_pipeline.answers.judges.verdict_store import VerdictStore
from cachewarm_pipeline.models.budgets import ModelBudget
from cachewarm_pipeline.ports import AnswerPair, JudgeUsage, JudgeUse
from cachewarm_pipeline.query_log.response_text import canonical_response

KEY = "sk-test-Qsecret1234"
MODEL = "gpt-4.1-mini"
PROMPT_TOKENS, COMPLETION_TOKENS = 300, 8


QUESTION = "How do I keep the signing key fresh?"

PAIR = AnswerPair(
    QUESTION,
    "Rotate the signing key each quarter and tell the team about it",
    "Rotate that signing key whenever the season changes, and the team should hear of it when you do",
)


def many(n: int) -> list[AnswerPair]:
    """Pairs that only a model can judge: they differ in no number or name, and are no short texts."""
    words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty"]
    texts = [f"{a} lies behind {b} and beyond the {c}" for a in words for b in words for c in words][:n]
    return [
        AnswerPair("What shall I keep?", f"Keep what {text}", f"Retain everything that {text}, always and in full")
        for text in texts
    ]


def saying(content: object, finish: str = "stop", **message: object) -> dict[str, Any]:
    """A chat completion with one choice."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS, "total_tokens": 308}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": usage}


def as_response(body: object) -> Response:
    return Response(json.dumps(body), content_type="application/json")


class ChatServer:
    """The chat endpoint: sends the prepared faults, then the ``verdict`` on each pair, and records the requests."""

    def __init__(self, http: HTTPServer) -> None:
        self.url = http.url_for("/v1")
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.faults: list[Response] = []
        self.verdict: Callable[[str, str], object] = lambda left, right: left.split()[0] == right.split()[0]
        self.change: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.hold = 0.0
        self.busy = 0
        self.most_busy = 0
        self._lock = threading.Lock()
        http.expect_request("/v1/chat/completions", method="POST").respond_with_handler(self._answer)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What the model was asked about, in the order of the requests."""
        return [json.loads(request["messages"][-1]["content"]) for request in self.requests]

    @property
    def pairs(self) -> list[list[str]]:
        """The pairs of answers in the requests, in their order."""
        return [[message["answer_a"], message["answer_b"]] for message in self.messages]

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            self.keys.add(request.headers.get("authorization"))
            self.requests.append(json.loads(request.data))
            pair = self.pairs[-1]
            fault = self.faults.pop(0) if self.faults else None
        try:
            time.sleep(self.hold)
            return fault or as_response(self.change(saying(json.dumps({"equivalent": self.verdict(*pair)}))))
        finally:
            with self._lock:
                self.busy -= 1


class PlannedJudge:
    """A local judge without a model: 0.5 for any two texts, except where ``plan`` says otherwise.

    It knows one contradiction: texts of which one has the word "never".
    """

    name = "local"

    def __init__(self, plan: Callable[[str, str], float | None] = lambda left, right: None) -> None:
        self.usage = JudgeUsage()
        self.plan = plan

    def probability(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        return np.array([self._of(*sorted((pair.left, pair.right))) for pair in pairs], np.float64)

    def same(self, pairs: Sequence[AnswerPair], use: JudgeUse = JudgeUse.LABEL) -> NDArray[np.bool_]:
        return self.probability(pairs) >= self.operating_point(use)

    def operating_point(self, use: JudgeUse) -> float:
        return 0.3 if use in (JudgeUse.EXCLUDE, JudgeUse.CHANGED) else 0.9

    def _of(self, left: str, right: str) -> float:
        if canonical_response(left) == canonical_response(right):
            return 1.0
        if is_blank(left) or is_blank(right) or ("never" in left.split()) != ("never" in right.split()):
            return 0.01
        planned = self.plan(left, right)
        return 0.5 if planned is None else planned


def planned_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Texts are near each other (cosine over 0.8), except those with the word "far"."""
    result = np.zeros((len(texts), 64), np.float32)
    for row, text in enumerate(texts):
        near = 0.95 if "far" not in text.split() else 0.1
        result[row, 0] = near
        result[row, 1 + sum(map(ord, text)) % 63] = (1 - near**2) ** 0.5
    return result


def open_model(server: ChatServer | str, **options: Any) -> JudgeModel:
    """A model that talks to the fake server, with few and quick retries."""
    url = server if isinstance(server, str) else server.url
    return JudgeModel(MODEL, **{"api_key": KEY, "base_url": url, "timeout": 10.0, "max_retries": 2, **options})


def open_judge(
    server: ChatServer | str,
    base: Path | str,
    *,
    local: LocalProbability | None = None,
    limit: float = 1.0,
    concurrency: int = 4,
    **options: Any,
) -> LlmJudge:
    """A judge with its verdicts under ``base`` and the prices of gpt-4.1-mini."""
    model = open_model(server, **options)
    return LlmJudge(
        local or PlannedJudge(),
        planned_vectors,
        lambda _: None,
        model=model,
        verdicts=VerdictStore(f"{base}/verdicts", model.id),
        spend=ModelBudget(limit, 0.40, 1.60),
        concurrency=concurrency,
    )
