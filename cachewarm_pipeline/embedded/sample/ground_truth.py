"""Reads the ground truth beside a sample, so that tests can check whether a response is right. The pipeline never reads
it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cachewarm_client.text import canonical, cut

from cachewarm_pipeline.embedded.sample.sample_folder import log_file, truth_file


@dataclass(frozen=True)
class TrueIntent:
    """The intent of a question. ``answer_id`` is None if the answer changes between calls (kind ``volatile``)."""

    id: str
    kind: str
    answer_id: str | None


def day_rows(folder: Path, day: date) -> pa.Table:
    """The day's log, with the columns of its truth added: row, intent_id, answer_id, given_answer_id, kind,
    dirty."""
    rows = pq.read_table(log_file(folder, day))
    truth = pq.read_table(truth_file(folder, day))
    for name in truth.column_names:
        rows = rows.append_column(name, truth[name])
    return rows


def _canonical_json(response: str) -> str:
    """A form that is equal for texts of the same JSON value: an application may reformat a response when it stores
    it."""
    try:
        return json.dumps(json.loads(response), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return response


class Truth:
    """The answers of a sample, by question and by response.

    >>> truth = Truth(folder, days=[held_out_day])            # doctest: +SKIP
    >>> truth.is_right("security_auditor", prompt, served)    # doctest: +SKIP
    """

    def __init__(self, folder: Path, days: Iterable[date] = ()) -> None:
        """Reads every intent's wordings and responses, and the one-off questions of ``days``.

        Memory: about 100 MB for the intents of a sample, and 1 KB per one-off question.
        """
        self._intents: dict[tuple[str, str], TrueIntent] = {}
        self._answers: dict[tuple[str, str], str] = {}
        for row in pq.read_table(truth_file(folder, "intents")).to_pylist():
            answer = row["answer_ids"][0] if row["kind"] != "volatile" else None
            intent = TrueIntent(row["intent_id"], row["kind"], answer)
            for text in row["surfaces"]:
                self._intents[row["agent_type"], canonical(cut(text))] = intent
        for row in pq.read_table(truth_file(folder, "answers")).to_pylist():
            for text in row["responses"]:
                self._answers[row["agent_type"], _canonical_json(text)] = row["answer_id"]
        for day in days:
            for row in day_rows(folder, day).to_pylist():
                if row["kind"] != "one_off" or row["dirty"]:
                    continue
                intent = TrueIntent(row["intent_id"], "one_off", row["answer_id"])
                self._intents[row["agent_type"], canonical(cut(row["query"]))] = intent
                self._answers[row["agent_type"], _canonical_json(row["response"])] = row["answer_id"]

    def intent(self, agent_type: str, prompt: str) -> TrueIntent | None:
        """The prompt's intent; None for a text that is not in the sample. Casing and punctuation do not matter."""
        return self._intents.get((agent_type, canonical(cut(prompt))))

    def answer_of(self, agent_type: str, response: str) -> str | None:
        """Id of the answer that a response gives, in any wording or format; None for an unknown text.

        A near miss has an id of its own, which is the right answer of no question.
        """
        return self._answers.get((agent_type, _canonical_json(response)))

    def is_right(self, agent_type: str, prompt: str, response: str) -> bool | None:
        """Whether the response answers the prompt. None for a prompt that is not in the sample.

        False for volatile questions: no stored answer stays right.
        """
        intent = self.intent(agent_type, prompt)
        if intent is None:
            return None
        return intent.answer_id is not None and intent.answer_id == self.answer_of(agent_type, response)
