"""The Batch API: one run submits bases at half the price, a later one collects what came of them.

The record of a batch under way stands beside the memo. It is there before the batch is created and goes once the
answers are stored, so that a killed run neither pays twice nor loses a batch.
"""

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cachewarm_pipeline.candidates.variant_writers.batch_records import BatchRecord, BatchRecords
from cachewarm_pipeline.candidates.variant_writers.writer_model import WriterModel
from cachewarm_pipeline.candidates.variant_writers.writer_prompts import WriterQuestion
from cachewarm_pipeline.candidates.variant_writers.written_texts import Memo
from cachewarm_pipeline.errors import LlmError
from cachewarm_pipeline.models.budgets import ModelBudget, ModelCost
from cachewarm_pipeline.ports import BaseQuery, LlmUsage
from cachewarm_pipeline.storage.files import below

SHARE = 0.5
"""Of the price, in a batch."""

MAX_LINES = 50_000
MAX_BYTES = 100_000_000
"""A batch's input file holds 50,000 requests and 200 MB at most; more bases make several batches."""

LINE_ERROR = "an error in its line of the batch"
NO_LINE = "no line in the batch's output"

_ENDED = ("completed", "failed", "expired", "cancelled")
_AGAIN = ("batch_expired", "batch_cancelled")
"""Codes of lines that were never asked."""
_ID = re.compile(r"\w[\w.:-]{0,199}")
_ENDPOINT = "/v1/chat/completions"


def records_of(memo: Memo) -> BatchRecords:
    return BatchRecords(below(memo.uri, "batches"))


def set_aside_for_batches(memo: Memo, run_id: str) -> ModelCost:
    """What a run has set aside for its batches, also in other processes. Raises DatasetError."""
    own = [record for record in records_of(memo) if record.run_id == run_id] if run_id else []
    return ModelCost(sum(record.usd for record in own), sum(record.tokens for record in own))


class Batches:
    """Batches of one kind of question. Raises LlmError as the model does, and DatasetError for its own files."""

    def __init__(
        self,
        model: WriterModel,
        question: WriterQuestion,
        memo: Memo,
        spend: ModelBudget,
        usage: LlmUsage,
        progress: Callable[[str], object],
    ) -> None:
        self._model, self._question, self._memo = model, question, memo
        self._spend, self._usage, self._progress = spend, usage, progress
        self._records = records_of(memo)
        self._collected = False
        self.written: set[str] = set()
        """Keys that this run collected into the memo."""
        self.failed: dict[str, str] = {}
        """What the model did instead, by key."""
        self.pending: set[str] = set()
        """Keys in batches that are not finished."""

    def collect(self) -> None:
        """Asks once in a run how each batch stands; what is finished goes into the memo. No request without batches."""
        if self._collected:
            return
        for record in self._records:
            if not record.most:
                self._records.end(record, self._model.run_id)
                continue
            known = record if record.batch_id is not None else self._adopt(record)
            if known is not None:
                self._poll(known)
        self._collected = True

    def submit(self, bases: Mapping[str, BaseQuery]) -> None:
        """Submits the bases in order, as far as the caps allow; they are in ``pending`` then."""
        lines: dict[str, bytes] = {}
        size = 0
        for key, base in bases.items():
            if not self._spend.take(self._spend.cost(*self._question.most_tokens(base), SHARE)):
                break
            body = self._question.body(self._model.name, base)
            request = {"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": body}
            line = json.dumps(request).encode() + b"\n"
            if lines and (len(lines) == MAX_LINES or size + len(line) > MAX_BYTES):
                self._create(lines, bases)
                lines, size = {}, 0
            lines[key] = line
            size += len(line)
        if lines:
            self._create(lines, bases)

    def _create(self, lines: Mapping[str, bytes], bases: Mapping[str, BaseQuery]) -> None:
        most = {key: self._question.most_tokens(bases[key]) for key in lines}
        aside = [self._spend.cost(*tokens, SHARE) for tokens in most.values()]
        usd, tokens = sum(cost.usd for cost in aside), sum(cost.tokens for cost in aside)
        record = BatchRecord(secrets.token_hex(16), None, most, self._model.run_id, usd, tokens)
        data = (f"cachewarm-{record.name}.jsonl", b"".join(lines.values()))
        upload = self._call(lambda client: client.files.with_raw_response.create(file=data, purpose="batch"))
        file_id = self._id(_object(upload), "uploaded file")
        self._records.save(record)
        answer = self._call(
            lambda client: client.batches.with_raw_response.create(
                input_file_id=file_id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={"cachewarm": record.name},
            )
        )
        batch_id = self._id(_object(answer), "batch")
        self._records.save(replace(record, batch_id=batch_id))
        self.pending |= set(lines)
        self._progress(
            f"{self._model.name}: {len(lines):,} bases are submitted as {batch_id}, for ${usd:.2f} at most; a later "
            "run collects them"
        )
        if answer.retries_taken:
            # A try that seemed lost may have made a batch too, and that would be paid.
            with contextlib.suppress(LlmError):
                for other in self._named(record.name):
                    if other != batch_id:
                        self._cancel(other)

    def _adopt(self, record: BatchRecord) -> BatchRecord | None:
        """The record of a run that was stopped while it created the batch; None where the server has none."""
        for batch_id in self._named(record.name)[:1]:
            adopted = replace(record, batch_id=batch_id)
            self._records.save(adopted)
            return adopted
        self._records.delete(record)
        return None

    def _named(self, name: str) -> list[str]:
        """Ids of the server's batches that were created for the record, newest first."""
        page = _object(self._model.call(lambda client: client.batches.with_raw_response.list(limit=100)))
        found = page.get("data")
        return [
            batch["id"]
            for batch in (found if isinstance(found, list) else [])
            if isinstance(batch, dict)
            and isinstance(batch.get("metadata"), dict)
            and batch["metadata"].get("cachewarm") == name
            and isinstance(batch.get("id"), str)
            and _ID.fullmatch(batch["id"])
        ]

    def _poll(self, record: BatchRecord) -> None:
        model, total = self._model.name, len(record.most)
        answer = self._model.call(lambda client: client.batches.with_raw_response.retrieve(record.batch_id))
        if answer is None:
            self._records.end(record, self._model.run_id)
            self._progress(f"{model}: the server does not know {record.batch_id}; its {total:,} bases are asked again")
            return
        batch = _object(answer)
        status = batch.get("status")
        if status not in _ENDED:
            self.pending |= set(record.most)
            self._progress(f"{model}: {record.batch_id} with {total:,} bases is not finished; a later run collects it")
            return
        gone = not self._read(batch, record)
        written = len(self.written & record.most.keys())
        missing = record.most.keys() - self.written - self.failed.keys()
        if status == "completed" and not gone:
            self.failed.update(dict.fromkeys(missing, NO_LINE))
            missing = set()
        self._records.end(record, self._model.run_id)
        self._progress(
            f"{model}: {record.batch_id} {'has lost its output' if gone else status}{self._why(batch)}; {written:,} of "
            f"its {total:,} bases are written" + (f", {len(missing):,} are asked again" if missing else "")
        )

    def _read(self, batch: dict[str, Any], record: BatchRecord) -> bool:
        """Stores what the batch's files hold; False where one of them is gone."""
        fresh: dict[str, list[str]] = {}
        seen: set[str] = set()
        whole = True
        for field in ("output_file_id", "error_file_id"):
            id = batch.get(field)
            if not isinstance(id, str) or not _ID.fullmatch(id):
                continue
            answer = self._content(id)
            if answer is None:
                whole = False
                continue
            for line in bytes(answer.content).splitlines():
                key, response, error = _line(line)
                if key in record.most and key not in seen:
                    seen.add(key)
                    self._take(key, response, error, record.most[key], fresh)
        self._model.write()
        self._memo.put(fresh)
        self.written |= fresh.keys()
        return whole

    def _take(
        self, key: str, response: object, error: object, most: tuple[int, int], fresh: dict[str, list[str]]
    ) -> None:
        if not isinstance(response, dict) or response.get("status_code") != 200:
            if not (isinstance(error, dict) and error.get("code") in _AGAIN):
                self.failed[key] = LINE_ERROR
            return
        reply = self._question.read(response.get("body"), most)
        self._model.note(reply, SHARE)
        self._usage.prompt_tokens += reply.prompt_tokens
        self._usage.completion_tokens += reply.completion_tokens
        self._usage.usd += self._spend.cost(reply.prompt_tokens, reply.completion_tokens, SHARE).usd
        if reply.texts is None:
            self.failed[key] = reply.wrong
        else:
            fresh[key] = reply.texts

    def _cancel(self, batch_id: str) -> None:
        self._model.call(lambda client: client.batches.with_raw_response.cancel(batch_id))

    def _content(self, file_id: str) -> Any:
        return self._model.call(lambda client: client.files.with_raw_response.content(file_id))

    def _why(self, batch: dict[str, Any]) -> str:
        """What the server says is wrong with the batch as a whole."""
        try:
            return self._model.server.safe(str(batch["errors"]["data"][0]["message"]))
        except (KeyError, IndexError, TypeError):
            return ""

    def _call(self, request: Callable[[Any], Any]) -> Any:
        answer = self._model.call(request)
        if answer is None:
            raise LlmError(
                f"writer {self._model.server.where}: no Batch API there (HTTP 404); check OPENAI_BASE_URL, or set "
                "CACHEWARM_LLM_BATCH=false"
            )
        return answer

    def _id(self, found: dict[str, Any], what: str) -> str:
        id = found.get("id")
        if not isinstance(id, str) or not _ID.fullmatch(id):
            raise LlmError(f"writer {self._model.server.where} answered with something that is no {what}")
        return id


def _object(answer: Any) -> dict[str, Any]:
    """The JSON object of a raw answer; empty where there is none."""
    try:
        data = json.loads(answer.content) if answer is not None else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _line(line: bytes) -> tuple[str, object, object]:
    """(key, response, error) of one line of output; the key is empty where the line is none."""
    try:
        data = json.loads(line)
        return str(data["custom_id"]), data.get("response"), data.get("error")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return "", None, None
