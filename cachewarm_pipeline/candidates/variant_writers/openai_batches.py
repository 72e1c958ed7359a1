"""The Batch API: one run submits bases at half the price, and a later run collects their texts.

The record of a batch is stored beside the written texts. It is written before the batch is created and deleted after
the texts are stored, so a killed run neither pays twice nor loses a batch.
"""

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cachewarm_pipeline.candidates.variant_writers.batch_record_store import BatchRecord, BatchRecords
from cachewarm_pipeline.candidates.variant_writers.writer_question import WriterModel, WriterQuestion
from cachewarm_pipeline.candidates.variant_writers.written_text_store import WrittenTexts
from cachewarm_pipeline.errors import LlmError
from cachewarm_pipeline.models.budgets import ModelBudget, ModelCost
from cachewarm_pipeline.models.chat_model import read_reply
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.ports import BaseQuery, LlmUsage
from cachewarm_pipeline.storage.files import below

SHARE = 0.5
"""The part of the price that is paid in a batch."""

MAX_LINES = 50_000
MAX_BYTES = 100_000_000
"""The input file of a batch may have 50,000 requests and 200 MB. More bases make several batches."""

LINE_ERROR = "an error in its line of the batch"
NO_LINE = "no line in the batch's output"

_ENDED = ("completed", "failed", "expired", "cancelled")
_NEVER_ASKED = ("batch_expired", "batch_cancelled")
"""Error codes of lines that the model was never asked."""
_ID = re.compile(r"\w[\w.:-]{0,199}")
_ENDPOINT = "/v1/chat/completions"


def batch_records_of(texts: WrittenTexts) -> BatchRecords:
    """The records of the batches whose texts go into this store."""
    return BatchRecords(below(texts.uri, "batches"))


def reserved_by_run(texts: WrittenTexts, run_id: str) -> ModelCost:
    """What a run has reserved for its batches, in all its processes. Raises DatasetError."""
    own = [record for record in batch_records_of(texts) if record.run_id == run_id] if run_id else []
    return ModelCost(sum(record.usd for record in own), sum(record.tokens for record in own))


class Batches:
    """The batches of one kind of question. Raises LlmError as the model does, and DatasetError for its own files."""

    def __init__(
        self,
        model: WriterModel,
        question: WriterQuestion,
        texts: WrittenTexts,
        budget: ModelBudget,
        usage: LlmUsage,
        progress: Callable[[str], object],
    ) -> None:
        self._model, self._question, self._texts = model, question, texts
        self._budget, self._usage, self._progress = budget, usage, progress
        self._records = batch_records_of(texts)
        self._collected = False
        self.written: set[str] = set()
        """Keys whose texts this run has collected."""
        self.failed: dict[str, str] = {}
        """What came instead of texts, by key."""
        self.pending: set[str] = set()
        """Keys in batches that are not finished."""

    def collect(self) -> None:
        """Ask once in a run for the status of each batch, and store the texts of those that are finished. Without
        batches, no request is made."""
        if self._collected:
            return
        for record in self._records:
            if not record.most:
                self._records.end(record, self._model.run_id)
                continue
            created = record if record.batch_id is not None else self._adopt(record)
            if created is not None:
                self._poll(created)
        self._collected = True

    def submit(self, bases: Mapping[str, BaseQuery]) -> None:
        """Submit the bases in order, as far as the budget allows. Their keys are then in ``pending``."""
        lines: dict[str, bytes] = {}
        size = 0
        for key, base in bases.items():
            request = self._question.request(base)
            if not self._budget.reserve(self._budget.cost(*request.most_tokens, SHARE)):
                break
            body = request.body(self._model.name)
            line = json.dumps({"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": body}).encode() + b"\n"
            if lines and (len(lines) == MAX_LINES or size + len(line) > MAX_BYTES):
                self._create(lines, bases)
                lines, size = {}, 0
            lines[key] = line
            size += len(line)
        if lines:
            self._create(lines, bases)

    def _create(self, lines: Mapping[str, bytes], bases: Mapping[str, BaseQuery]) -> None:
        most = {key: self._question.most_tokens(bases[key]) for key in lines}
        reserved = [self._budget.cost(*tokens, SHARE) for tokens in most.values()]
        usd, tokens = sum(cost.usd for cost in reserved), sum(cost.tokens for cost in reserved)
        record = BatchRecord(secrets.token_hex(16), None, most, self._model.run_id, usd, tokens)
        data = (f"cachewarm-{record.name}.jsonl", b"".join(lines.values()))
        upload = self._call(lambda client: client.files.with_raw_response.create(file=data, purpose="batch"))
        file_id = self._id(_json_object(upload), "uploaded file")
        self._records.save(record)
        answer = self._call(
            lambda client: client.batches.with_raw_response.create(
                input_file_id=file_id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={"cachewarm": record.name},
            )
        )
        batch_id = self._id(_json_object(answer), "batch")
        self._records.save(replace(record, batch_id=batch_id))
        self.pending |= set(lines)
        self._progress(
            f"{self._model.name}: {plural(len(lines), 'base')} submitted as {batch_id}, for ${usd:.2f} at most; a "
            "later run collects the texts"
        )
        if answer.retries_taken:
            # An attempt that seemed lost may also have created a batch, which would be paid for.
            with contextlib.suppress(LlmError):
                for other in self._batches_named(record.name):
                    if other != batch_id:
                        self._cancel(other)

    def _adopt(self, record: BatchRecord) -> BatchRecord | None:
        """Find the batch of a run that was stopped while it created it; None where the server has no such batch."""
        for batch_id in self._batches_named(record.name)[:1]:
            adopted = replace(record, batch_id=batch_id)
            self._records.save(adopted)
            return adopted
        self._records.delete(record)
        return None

    def _batches_named(self, name: str) -> list[str]:
        """Ids of the server's batches that carry the name of a record, newest first."""
        page = _json_object(self._model.call(lambda client: client.batches.with_raw_response.list(limit=100)))
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
        """Ask for the status of a batch. Store its texts where it has ended."""
        model, total = self._model.name, len(record.most)
        answer = self._model.call(lambda client: client.batches.with_raw_response.retrieve(record.batch_id))
        if answer is None:
            self._records.end(record, self._model.run_id)
            self._progress(
                f"{model}: the server does not know {record.batch_id}; {plural(total, 'base')} will be asked for again"
            )
            return
        batch = _json_object(answer)
        status = batch.get("status")
        if status not in _ENDED:
            self.pending |= set(record.most)
            self._progress(
                f"{model}: {record.batch_id} with {plural(total, 'base')} is not finished; a later run collects "
                "the texts"
            )
            return
        output_gone = not self._store_output(batch, record)
        written = len(self.written & record.most.keys())
        missing = record.most.keys() - self.written - self.failed.keys()
        if status == "completed" and not output_gone:
            self.failed.update(dict.fromkeys(missing, NO_LINE))
            missing = set()
        self._records.end(record, self._model.run_id)
        self._progress(
            f"{model}: {record.batch_id} {'has lost its output' if output_gone else status}{self._error_of(batch)}; "
            f"{written:,} of {plural(total, 'base')} written"
            + (f", {len(missing):,} will be asked for again" if missing else "")
        )

    def _store_output(self, batch: dict[str, Any], record: BatchRecord) -> bool:
        """Store the texts in the batch's files; False where one of the files no longer exists."""
        texts: dict[str, list[str]] = {}
        seen: set[str] = set()
        complete = True
        for field in ("output_file_id", "error_file_id"):
            id = batch.get(field)
            if not isinstance(id, str) or not _ID.fullmatch(id):
                continue
            answer = self._content(id)
            if answer is None:
                complete = False
                continue
            for line in bytes(answer.content).splitlines():
                key, response, error = _parse_line(line)
                if key in record.most and key not in seen:
                    seen.add(key)
                    self._read_line(key, response, error, record.most[key], texts)
        self._model.write()
        self._texts.put(texts)
        self.written |= texts.keys()
        return complete

    def _read_line(
        self, key: str, response: object, error: object, most: tuple[int, int], texts: dict[str, list[str]]
    ) -> None:
        """Add the texts of one line to ``texts``, or its fault to ``failed``. Its usage is noted in any case."""
        if not isinstance(response, dict) or response.get("status_code") != 200:
            if not (isinstance(error, dict) and error.get("code") in _NEVER_ASKED):
                self.failed[key] = LINE_ERROR
            return
        reply = read_reply(response.get("body"), self._question.parse, most)
        self._model.note(reply.prompt_tokens, reply.completion_tokens, SHARE)
        self._usage.prompt_tokens += reply.prompt_tokens
        self._usage.completion_tokens += reply.completion_tokens
        self._usage.usd += self._budget.cost(reply.prompt_tokens, reply.completion_tokens, SHARE).usd
        if reply.value is None:
            self.failed[key] = reply.wrong
        else:
            texts[key] = reply.value

    def _cancel(self, batch_id: str) -> None:
        self._model.call(lambda client: client.batches.with_raw_response.cancel(batch_id))

    def _content(self, file_id: str) -> Any:
        return self._model.call(lambda client: client.files.with_raw_response.content(file_id))

    def _error_of(self, batch: dict[str, Any]) -> str:
        """The server's message about a fault of the whole batch; empty without one."""
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


def _json_object(answer: Any) -> dict[str, Any]:
    """The JSON object of a raw answer; empty where it has none."""
    try:
        data = json.loads(answer.content) if answer is not None else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _parse_line(line: bytes) -> tuple[str, object, object]:
    """(key, response, error) of one line of output; the key is empty where the line is not as documented."""
    try:
        data = json.loads(line)
        return str(data["custom_id"]), data.get("response"), data.get("error")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return "", None, None
