"""Base queries: the YAML, its errors, and which queries of a day are bases."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cachewarm_client.text import MAX_PROMPT_CHARS, entry_id

import cachewarm_pipeline
from cachewarm_pipeline.candidates.base_queries import choose_bases, parse_base_queries
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.ports import BaseQuery
from cachewarm_pipeline.storage.schemas import FREQUENT_QUERIES, GOLDEN_CANDIDATES

EMBEDDED = Path(cachewarm_pipeline.__file__).parent / "embedded"


def parse(text: str) -> list[BaseQuery]:
    return parse_base_queries(text, "bases.yaml", max_response_bytes=1000)


def test_items_are_texts_or_mappings_with_a_response_as_text_or_json() -> None:
    text = """
    security:
      - How do I fix XSS?
      - query: "  Is it safe?  "
        response: "Yes."
      - query: Which tool?
        response: {tool: [semgrep, 1]}
    'team "A", {beta}':
      - How do I fix XSS?
    """
    assert parse(text) == [
        BaseQuery("security", "How do I fix XSS?"),
        BaseQuery("security", "Is it safe?", "Yes."),
        BaseQuery("security", "Which tool?", '{"tool": ["semgrep", 1]}'),
        BaseQuery('team "A", {beta}', "How do I fix XSS?"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bases.yaml is empty; it must be a mapping"),
        ("- a\n- b", "bases.yaml has a list; it must be a mapping"),
        ("a: [", "bases.yaml is not YAML"),
        ("a: 2026-13-45", "bases.yaml is not YAML"),
        ("a:", "agent_type 'a' has nothing; give it a list"),
        ("a: []", "agent_type 'a' has nothing"),
        ("a: how", "agent_type 'a' has a text"),
        ("1: [how]", "agent_type 1 is a int, not text; put it in quotes"),
        ("no: [how]", "agent_type False is yes or no, not text"),
        ("' ': [how]", "an agent_type is empty"),
        ("' a': [how]", "white space around it"),
        ('"a\\nb": [how]', "has control characters"),
        (f"{'a' * 201}: [how]", "has 201 characters; at most 200"),
        ("a: [how]\na: [why]", "line 1: 'a' is there twice"),
        ("a: [&x how]\nb: [*x]", "an anchor is used again"),
        ("a: [how, 3]", "'a', item 2 is a int, not text; put it in quotes"),
        ("a: [how, null]", "'a', item 2 is nothing, not text"),
        ("a: [how, ' ?! ']", "'a', item 2 is empty"),
        ("a: [how, [why]]", "'a', item 2 is a list, not text"),
        (f"a: [{'x' * 2001}]", "'a', item 1 has 2001 characters; a prompt has 2000 at most"),
        ("a: [How is  it, why, HOW is it]", "'a', item 3 is the same query as 'a', item 1"),
        ("a:\n  - Compare: x or y", "item 1 has 'Compare'; it has a `query` and may have a `response`"),
        ("a: [{response: x}]", "item 1 has no `query`"),
        ("a: [{query: 5}]", "item 1 is a int, not text"),
        ("a: [{query: how, response: 5}]", "its response is a int; put it in quotes"),
        ("a: [{query: how, response: ' '}]", "its response is empty"),
        ("a: [{query: how, response: {}}]", "its response is empty"),
        ("a: [{query: how, response: [.nan]}]", "its response is not JSON"),
        ("a: [{query: how, response: [2026-01-01]}]", "its response is not JSON"),
        (f"a: [{{query: how, response: {'x' * 1001}}}]", "1,001 bytes; CACHEWARM_MAX_RESPONSE_BYTES allows 1,000"),
        ("a: !!python/object/apply:os.system ['true']", "bases.yaml is not YAML"),
        ("[" * 5000, "bases.yaml"),
    ],
)
def test_an_error_names_its_place_and_what_to_do(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_a_prompt_of_exactly_the_most_characters_is_taken() -> None:
    assert len(parse(f"a: [{'x' * MAX_PROMPT_CHARS}]")[0].prompt) == MAX_PROMPT_CHARS


def candidates(schema: pa.Schema, *found: tuple[str, str, str, float]) -> pa.Table:
    """(agent_type, prompt, response, quality or demand)."""
    names = ("entry_id", "agent_type", "prompt", "response", "source", "quality_score", "demand", "provenance")
    rows = []
    for agent_type, prompt, response, number in found:
        key = entry_id(prompt, agent_type)
        rows.append(dict(zip(names, (key, agent_type, prompt, response, "x", number, number, "{}"), strict=True)))
    return pa.Table.from_pylist([{**row} for row in rows], schema=pa.schema([schema.field(name) for name in names]))


def golden(*found: tuple[str, str, str, float]) -> pa.Table:
    return candidates(GOLDEN_CANDIDATES, *found)


def frequent(*found: tuple[str, str, str, float]) -> pa.Table:
    return candidates(FREQUENT_QUERIES, *found)


def test_a_verified_answer_goes_before_the_configured_one() -> None:
    configured = [
        BaseQuery("a", "How?", "own"),
        BaseQuery("a", "Why?", "own"),
        BaseQuery("a", "When?"),
        BaseQuery("b", "How?"),
    ]
    chosen = choose_bases(configured, golden(("a", "how", "gold", 0.9)), frequent(("a", "HOW?", "log", 9.0)), 0)
    assert [(base.prompt, base.response) for base in chosen] == [
        ("How?", "gold"),
        ("Why?", "own"),
        ("When?", None),
        ("How?", None),
    ]
    assert {base.origin for base in chosen} == {"configured"}


def test_the_top_of_golden_and_frequent_of_each_agent_type_are_bases_once() -> None:
    best = golden(("a", "g1", "x", 0.8), ("a", "g2", "x", 0.95), ("a", "g3", "x", 0.9), ("b", "g4", "x", 0.8))
    asked = frequent(("a", "f1", "x", 1.0), ("a", "g2!", "y", 9.0), ("a", "f2", "x", 5.0), ("a", "f3", "x", 4.0))
    chosen = choose_bases([BaseQuery("a", "f2")], best, asked, 2)
    assert [(base.agent_type, base.prompt, base.origin, base.response) for base in chosen] == [
        ("a", "f2", "configured", "x"),
        ("a", "g2", "golden", "x"),
        ("a", "g3", "golden", "x"),
        ("b", "g4", "golden", "x"),
    ]


def packaged() -> tuple[list[BaseQuery], dict[str, Any]]:
    text = (EMBEDDED / "base_queries.yaml").read_text(encoding="utf-8")
    recorded = json.loads((EMBEDDED / "recorded_variants.json").read_text(encoding="utf-8"))
    return parse_base_queries(text, "base_queries.yaml", max_response_bytes=65_536), recorded


def test_every_packaged_base_has_eight_recorded_variants_and_none_has_others() -> None:
    bases, recorded = packaged()
    found = {(a, prompt): texts for a, prompts in recorded["variants"].items() for prompt, texts in prompts.items()}
    assert set(found) == {(base.agent_type, base.prompt) for base in bases}
    assert all(len(texts) == 8 for texts in found.values())
    assert "no api is asked" in recorded["note"].lower()


def test_the_strategy_documents_base_queries_are_packaged() -> None:
    prompts = {(base.agent_type, base.prompt) for base in packaged()[0]}
    assert {
        ("security_auditor", "Analyze this code for SQL injection vulnerabilities"),
        ("security_auditor", "Check for XSS attack vectors in this implementation"),
        ("security_auditor", "Identify authentication bypass risks"),
        ("implementation_planner", "Plan implementation for user authentication"),
        ("implementation_planner", "Design database schema for e-commerce cart"),
        ("implementation_planner", "Outline REST API architecture"),
    } <= prompts
