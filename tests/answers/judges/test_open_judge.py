"""The judge that the settings open, and settings that open none."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from cachewarm_pipeline.answers.judges.judge_question import JudgeModel
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.ports import AnswerPair, Judge
from cachewarm_pipeline.settings import Settings, load_settings
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.chat_server import (
    KEY,
    MODEL,
    PAIR,
    ChatServer,
)


@pytest.mark.parametrize("key", ["", "  \n"])
def test_a_missing_key_names_the_variable(key: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        JudgeModel(MODEL, api_key=key)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"api_key": "Qsecret\nx-injected: 1"}, "no HTTP header can carry"),
        ({"base_url": "localhost:8080"}, "is not usable"),
        ({"base_url": "http://:Qsecret@host:port"}, "is not usable"),
    ],
)
def test_an_invalid_key_or_url_is_an_error_that_does_not_contain_it(options: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected) as caught:
        JudgeModel(MODEL, **{"api_key": KEY, **options})
    assert "secret" not in str(caught.value)


def environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(("CACHEWARM_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_without_a_key_the_settings_do_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, {"CACHEWARM_JUDGE": "llm"})
    with pytest.raises(ConfigurationError, match="CACHEWARM_JUDGE=llm needs OPENAI_API_KEY"):
        load_settings()


@pytest.mark.parametrize(
    ("setting", "name"), [("exact", "exact"), ("local", "local"), ("embedding", "local"), ("llm", "llm")]
)
def test_the_settings_open_each_judge(
    monkeypatch: pytest.MonkeyPatch, server: ChatServer, tmp_path: Path, setting: str, name: str
) -> None:
    environment(monkeypatch, {"CACHEWARM_JUDGE": setting, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url})
    judge = Workspace(Settings(home=tmp_path)).judge(lambda _: None)
    assert judge.name == name
    assert judge.same([PAIR, AnswerPair("q", "x", "x"), PAIR._replace(right=PAIR.left.upper())])[1:].all()
    assert bool(server.requests) == (name == "llm")
    assert bool(list(tmp_path.rglob("verdicts/*/*.parquet"))) == (name == "llm")


def test_the_judges_of_one_run_share_the_cap(
    monkeypatch: pytest.MonkeyPatch, server: ChatServer, tmp_path: Path
) -> None:
    environment(monkeypatch, {"CACHEWARM_JUDGE": "llm", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url})
    workspace = Workspace(Settings(home=tmp_path, judge_max_usd=0.0, judge_model="x"))
    judges: Sequence[Judge] = [workspace.judge(lambda _: None) for _ in range(2)]
    assert [judge.same([PAIR]).tolist() for judge in judges] == [[False], [False]]
    assert workspace.judge_budget.closed
    assert json.dumps([judge.usage.unjudged for judge in judges]) == "[1, 1]"
