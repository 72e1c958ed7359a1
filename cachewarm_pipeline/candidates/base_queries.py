"""Base queries: the queries that the model writes variants for. Some are configured as YAML; the others are the
day's best golden answers and most frequent queries."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cachewarm_client.text import MAX_AGENT_TYPE_CHARS, MAX_PROMPT_CHARS, canonical

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.ports import BaseQuery

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = ("query", "response")


def parse_base_queries(text: str, where: str, *, max_response_bytes: int) -> list[BaseQuery]:
    """The base queries of a YAML text, in its order. The text maps each agent_type to a list; an item is a query, or a
    mapping with ``query`` and optionally ``response`` (a mapping or list becomes JSON).

    Raises ConfigurationError for anything else: an agent_type that source rows could not have, an empty or too long
    query, two queries of one agent_type with the same canonical form, a response of more than ``max_response_bytes``
    bytes of UTF-8. The message names ``where``, the agent_type and the number of the item (the first is 1).
    """
    data = _yaml(text, where)
    if not isinstance(data, dict):
        found = "is empty" if data is None else f"has {_kind(data)}"
        raise ConfigurationError(
            f"{where} {found}; it must be a mapping of agent_type to a list of queries (with CACHEWARM_LLM=none "
            "no variants are written)"
        )
    bases: dict[str, BaseQuery] = {}
    places: dict[str, str] = {}
    for key, items in data.items():
        agent_type = _agent_type(key, where)
        if not isinstance(items, list) or not items:
            found = "nothing" if items is None or items == [] else _kind(items)
            raise ConfigurationError(
                f"{where}: agent_type {agent_type!r} has {found}; give it a list of queries, or remove it"
            )
        for number, item in enumerate(items, 1):
            place = f"{where}: {agent_type!r}, item {number}"
            base = _base(agent_type, item, place, max_response_bytes)
            if base.entry_id in bases:
                raise ConfigurationError(
                    f"{place} is the same query as {places[base.entry_id]} (case, white space and end marks are "
                    f"ignored): {_shown(base.prompt)}; remove one of them"
                )
            bases[base.entry_id], places[base.entry_id] = base, f"{agent_type!r}, item {number}"
    return list(bases.values())


def choose_bases(
    configured: Iterable[BaseQuery], golden: "pa.Table", frequent: "pa.Table", top: int
) -> list[BaseQuery]:
    """The bases of a day, one for each entry_id: the configured ones, then for each agent_type the ``top`` golden
    candidates with the highest quality and the ``top`` frequent queries with the highest demand.

    A base takes its answer from the day's candidate with the same prompt; golden candidates go before the log, as in
    the plan. A configured base without such a candidate has its own answer, or None.
    """
    golden_rows, frequent_rows = _rows(golden), _rows(frequent)
    answers: dict[str, str] = {}
    for row in (*golden_rows, *frequent_rows):
        answers.setdefault(row["entry_id"], row["response"])
    chosen = {
        base.entry_id: BaseQuery(base.agent_type, base.prompt, answers.get(base.entry_id, base.response))
        for base in configured
    }
    for origin, by, rows in (("golden", "quality_score", golden_rows), ("query_log", "demand", frequent_rows)):
        for best in _top(rows, by, top):
            base = BaseQuery(best["agent_type"], best["prompt"], answers[best["entry_id"]], origin)
            chosen.setdefault(best["entry_id"], base)
    return list(chosen.values())


def _rows(table: "pa.Table") -> list[dict[str, Any]]:
    columns = ["entry_id", "agent_type", "prompt", "response", "quality_score", "demand"]
    rows: list[dict[str, Any]] = table.select(columns).to_pylist()
    return rows


def _top(rows: Sequence[Mapping[str, Any]], by: str, top: int) -> list[Mapping[str, Any]]:
    """The ``top`` rows of each agent_type with the highest ``by``."""
    number_of: dict[str, int] = {}
    found = []
    for row in sorted(rows, key=lambda row: (-row[by], row["entry_id"])):
        if (number := number_of.get(row["agent_type"], 0)) < top:
            number_of[row["agent_type"]] = number + 1
            found.append(row)
    return found


def _yaml(text: str, where: str) -> Any:
    """The value of the text. A duplicate key is refused: in YAML, the last one would win silently."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _check_nodes(root, where)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date
        raise ConfigurationError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigurationError(f"{where} is nested too deeply") from None


def _check_nodes(root: Any, where: str) -> None:
    """Refuse duplicate keys and repeated anchors, whose expansion could be huge."""
    import yaml

    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        line = node.start_mark.line + 1
        if id(node) in seen:
            raise ConfigurationError(f"{where}, line {line}: an anchor is used again; write the text out instead")
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
            if twice is not None:
                raise ConfigurationError(f"{where}, line {line}: {_shown(twice)} is there twice; put both in one list")
            waiting += [value for pair in node.value for value in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _agent_type(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise ConfigurationError(f"{where}: agent_type {key!r} is {_kind(key)}, not text; put it in quotes")
    name = key.strip()
    if not name:
        raise ConfigurationError(f"{where}: an agent_type is empty; name it as in the log")
    if len(name) > MAX_AGENT_TYPE_CHARS:
        raise ConfigurationError(
            f"{where}: agent_type {_shown(name)} has {len(name)} characters; at most {MAX_AGENT_TYPE_CHARS}"
        )
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in name):
        raise ConfigurationError(f"{where}: agent_type {_shown(name)} has control characters; remove them")
    if name != key:
        raise ConfigurationError(f"{where}: agent_type {key!r} has white space around it; remove it")
    return name


def _base(agent_type: str, item: object, place: str, max_response_bytes: int) -> BaseQuery:
    if isinstance(item, dict):
        unknown = [key for key in item if key not in _KEYS]
        if unknown or "query" not in item:
            wrong = f"has {_shown(str(unknown[0]))}" if unknown else "has no `query`"
            raise ConfigurationError(
                f"{place} {wrong}; it has a `query` and may have a `response` (a text with ': ' in it needs quotes)"
            )
        prompt, response = item["query"], _response(item.get("response"), place, max_response_bytes)
    else:
        prompt, response = item, None
    if not isinstance(prompt, str):
        raise ConfigurationError(f"{place} is {_kind(prompt)}, not text; put it in quotes")
    prompt = prompt.strip()
    if not canonical(prompt):
        raise ConfigurationError(f"{place} is empty; write a query or remove it")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise ConfigurationError(f"{place} has {len(prompt)} characters; a prompt has {MAX_PROMPT_CHARS} at most")
    return BaseQuery(agent_type, prompt, response)


def _response(value: object, place: str, max_bytes: int) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
    elif isinstance(value, dict | list):
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False) if value else ""
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{place}: its response is not JSON ({error}); put such values in quotes"
            ) from None
    else:
        raise ConfigurationError(f"{place}: its response is {_kind(value)}; put it in quotes")
    if not text:
        raise ConfigurationError(f"{place}: its response is empty; write one or remove the key")
    if (size := len(text.encode("utf-8", "surrogatepass"))) > max_bytes:
        raise ConfigurationError(
            f"{place}: its response has {size:,} bytes; CACHEWARM_MAX_RESPONSE_BYTES allows {max_bytes:,}"
        )
    return text


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "yes or no", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
