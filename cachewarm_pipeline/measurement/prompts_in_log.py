"""Which entries' prompts were asked on a day, by the day's log, and how often users rejected the answers."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.text import canonical, cut


class PromptLogCount(NamedTuple):
    """A prompt in one day's log."""

    rows: int
    negative: int
    """Answers that users rejected."""


PromptKey = tuple[str, str]
"""agent_type and canonical prompt: the key of DAILY_QUERY_COUNTS."""


def prompt_key(agent_type: str, prompt: str) -> PromptKey | None:
    """The key of a prompt; None if its canonical form is empty."""
    text = canonical(cut(prompt))
    return (agent_type, text) if text else None


def prompts_in_log(counts: pa.Table, prompts: Mapping[PromptKey, str]) -> dict[str, PromptLogCount]:
    """The ``prompts`` (key to entry_id) that are in a day's log, by entry_id. ``counts``: agent_type, canonical, count
    and responses of DAILY_QUERY_COUNTS."""
    texts = pa.array(sorted({text for _, text in prompts}), pa.string())
    found = {}
    # Filtered in Arrow: a day's log has many more prompts than there are entries.
    for row in counts.filter(pc.is_in(counts["canonical"], value_set=texts)).to_pylist():
        entry_id = prompts.get((row["agent_type"], row["canonical"]))
        if entry_id is not None:
            found[entry_id] = PromptLogCount(row["count"], sum(answer["negative"] for answer in row["responses"]))
    return found
