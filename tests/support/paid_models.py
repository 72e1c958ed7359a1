"""All three paid models behind one HTTP server, and a small log that needs each of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.ports import AnswerPair
from tests.support.chat_server import COMPLETION_TOKENS, KEY, PROMPT_TOKENS, many, saying
from tests.support.openai_server import FakeServer, unit
from tests.support.pipeline import LAST_DAY
from tests.support.source_data import log_row, write_parquet
from tests.support.writer_server import WriterServer, asked, written

DAYS = 6
_NAMES = "abcdefghijklmnopqrst"


class PaidModels:
    """Embeds, judges and writes variants, and counts the usage that it reports."""

    def __init__(self, http: HTTPServer) -> None:
        http.clear()
        self.embedder = FakeServer(http)  # first: the writer takes every other path
        self.chat = WriterServer(http)
        self.chat.reply = self._reply
        self.judged = self.wrote = 0
        self.url = self.chat.url

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts from zero."""
        self.embedder.requests.clear()
        self.chat.paths.clear()
        self.judged = self.wrote = 0
        yield

    @property
    def requests(self) -> int:
        return len(self.embedder.requests) + len(self.chat.paths)

    @property
    def embedding_tokens(self) -> int:
        """Embedding tokens as reported: one for each word."""
        return sum(len(text.split()) for body in self.embedder.requests for text in body["input"])

    def _reply(self, body: dict[str, Any]) -> dict[str, Any]:
        if "answer_a" in json.loads(body["messages"][-1]["content"]):
            self.judged += 1
            return saying(json.dumps({"equivalent": True}))
        self.wrote += 1
        return saying(json.dumps(written(asked(body))))

    def usd(self, embedding: float = 0.02, prompt: float = 0.4, completion: float = 1.6) -> float:
        """The cost of all requests at the default prices."""
        chat = (self.judged + self.wrote) * (PROMPT_TOKENS * prompt + COMPLETION_TOKENS * completion)
        return (self.embedding_tokens * embedding + chat) / 1e6

    def environment(self, home: Path, source: Path, **more: str) -> dict[str, str]:
        return {
            "CACHEWARM_HOME": str(home),
            "CACHEWARM_SOURCE_URL": str(source),
            "CACHEWARM_EMBEDDER": "openai",
            "CACHEWARM_JUDGE": "llm",
            "CACHEWARM_LLM": "openai",
            "CACHEWARM_LOOKBACK_DAYS": str(DAYS),
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": self.url,
            **more,
        }


@cache
def near_pairs(n: int) -> list[AnswerPair]:
    """Pairs of answers that are near in the vectors of the fake server, so that the judge asks the model."""
    found = (pair for pair in many(900) if np.prod(unit((pair.left, pair.right)), axis=0).sum() > 0.7)
    return list(islice(found, n))


def write_log(folder: Path, questions: int = 20, pairs: int = 4) -> str:
    """Writes a log of questions that three users ask each day; the first ``pairs`` have two wordings of the answer."""
    noon = datetime.fromisoformat(f"{LAST_DAY}T12:00:00+00:00")
    near = near_pairs(pairs)
    rows = []
    for back in range(DAYS):
        for n in range(questions):
            for user in range(3):
                answer = near[n][1 + user % 2] if n < pairs else f"Turn the lever that is named {_NAMES[n]}"
                rows.append(
                    log_row(
                        f"How do I start the engine of model {_NAMES[n]}?",
                        response=answer,
                        user_id=f"user {user}",
                        created_at=noon - timedelta(days=back, minutes=n),
                    )
                )
    return write_parquet(folder, {"llm_query_logs": rows})
