"""The recorded writer: what the sample's default replays, and what it says of a base that it does not know."""

import json
import os
from pathlib import Path

import pytest

from cachewarm_pipeline.candidates.variant_writers.recorded_writer import RecordedWriter
from cachewarm_pipeline.errors import LlmError
from cachewarm_pipeline.ports import BaseQuery, Llm
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

DATA = {
    "model": "a-model",
    "prompt_version": "abc",
    "temperature": 0.8,
    "note": "for a test",
    "variants": {"reviewer": {"Rotate the key?": ["Key rotation", "How to rotate the key"], "Other": ["Another"]}},
}
KNOWN = BaseQuery("reviewer", "Rotate the key?")


def recorded(folder: Path, data: object = None) -> RecordedWriter:
    path = folder / "recorded.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data or DATA))
    return RecordedWriter(path)


def test_recorded_variants_are_returned_and_cost_nothing(tmp_path: Path) -> None:
    writer: Llm = recorded(tmp_path)
    other = BaseQuery("reviewer", "Other")
    assert writer.variants([other, KNOWN, KNOWN]) == [["Another"], *2 * [["Key rotation", "How to rotate the key"]]]
    writer.variants([KNOWN])
    assert (writer.name, writer.model, writer.prompt_version, writer.temperature) == ("recorded", "a-model", "abc", 0.8)
    assert (writer.usage.known, writer.usage.written, writer.usage.usd) == (2, 0, 0.0)


def test_a_base_is_known_by_its_agent_type_and_canonical_prompt(tmp_path: Path) -> None:
    writer = recorded(tmp_path)
    assert writer.knows(BaseQuery("reviewer", " rotate THE  key"))
    assert not writer.knows(BaseQuery("other", "Rotate the key?"))
    assert not writer.knows(BaseQuery("reviewer", "Rotate the keys?"))


def test_returned_variants_can_be_changed_without_effect_on_the_writer(tmp_path: Path) -> None:
    writer = recorded(tmp_path)
    [first] = writer.variants([KNOWN])
    assert first is not None
    first.clear()
    assert writer.variants([KNOWN]) == [["Key rotation", "How to rotate the key"]]


def test_a_base_that_is_not_recorded_says_what_to_set(tmp_path: Path) -> None:
    writer = recorded(tmp_path)
    with pytest.raises(LlmError, match=r"base 'A new one A new .*\.\.\.' of 'reviewer' is not recorded; set CACHEWARM"):
        writer.variants([KNOWN, BaseQuery("reviewer", "A new\none " * 100)])
    assert writer.usage.known == 0


def test_without_asking_a_base_that_is_not_recorded_has_none_and_nothing_is_counted(tmp_path: Path) -> None:
    writer = recorded(tmp_path)
    new = BaseQuery("reviewer", "A new one")
    assert writer.variants([new, KNOWN], ask=False) == [None, ["Key rotation", "How to rotate the key"]]
    assert writer.answers([KNOWN], ask=False) == [None]
    assert writer.usage.known == 0


def test_answers_are_never_recorded(tmp_path: Path) -> None:
    writer = recorded(tmp_path)
    assert writer.answers([]) == []
    with pytest.raises(LlmError, match=r"an answer to 'Rotate the key\?' of 'reviewer' is not recorded; set CACHEWARM"):
        writer.answers([KNOWN])


@pytest.mark.parametrize(
    "data",
    ["", "[]", "not json", {**DATA, "variants": {"a": {"b": []}}}, {**DATA, "variants": {"a": {"b": "c"}}}, {"a": 1}],
)
def test_a_file_without_recorded_variants_is_named(tmp_path: Path, data: object) -> None:
    with pytest.raises(LlmError, match=r"recorded\.json has no recorded variants") as caught:
        recorded(tmp_path, data)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LlmError, match=r"cannot read the recorded variants in .*absent\.json"):
        RecordedWriter(tmp_path / "absent.json")


@pytest.mark.parametrize("values", [{}, {"CACHEWARM_SOURCE_URL": "sample"}, {"CACHEWARM_LLM": "recorded"}])
def test_the_sample_has_the_recorded_writer_and_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, values: dict[str, str]
) -> None:
    for name in [name for name in os.environ if name.startswith(("CACHEWARM_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    llm = Workspace(Settings(home=tmp_path)).llm(lambda _: None)
    assert isinstance(llm, RecordedWriter)
