"""Settings: what the environment may contain, and how mistakes are reported."""

from pathlib import Path

import pytest
from pydantic import AliasChoices

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("CACHEWARM_", "OPENAI_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CACHEWARM_BUDGET", "0", "CACHEWARM_BUDGET"),
        ("CACHEWARM_BUDGET", "-3", "CACHEWARM_BUDGET"),
        ("CACHEWARM_BUDGET", "many", "CACHEWARM_BUDGET"),
        ("CACHEWARM_NAME", "warm", "reserved"),
        ("CACHEWARM_NAME", "a:b", "letters"),
        ("CACHEWARM_COLUMNS", "{not json", "CACHEWARM_COLUMNS"),
        ("CACHEWARM_EMBEDDER", "openai", "OPENAI_API_KEY"),
        ("CACHEWARM_FIRST_DAY", "yesterday", "CACHEWARM_FIRST_DAY"),
        ("CACHEWARM_MIN_QUALITY", "1.5", "CACHEWARM_MIN_QUALITY"),
        ("CACHEWARM_MAX_WRONG_HIT_RATE", "0", "CACHEWARM_MAX_WRONG_HIT_RATE"),
        ("CACHEWARM_VARIANT_MIN_DISTANCE", "0.45", r"MIN_DISTANCE \(0.45\) must be under .*MAX_DISTANCE \(0.45\)"),
        ("CACHEWARM_VARIANT_MAX_DISTANCE", "0.02", "CACHEWARM_VARIANT_MAX_DISTANCE"),
    ],
)
def test_the_error_for_a_wrong_setting_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()


@pytest.mark.parametrize(
    ("value", "judge"), [("", "local"), ("local", "local"), ("embedding", "local"), ("exact", "exact")]
)
def test_the_judge_is_local_by_default_and_under_its_old_name(
    monkeypatch: pytest.MonkeyPatch, value: str, judge: str
) -> None:
    monkeypatch.setenv("CACHEWARM_JUDGE", value)
    assert load_settings().judge == judge
    assert Settings(judge=value or "local").judge == judge  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999"])
def test_no_setting_is_infinite(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    floats = [name for name, field in Settings.model_fields.items() if "float" in str(field.annotation)]
    assert {"max_usd", "wrong_hit_usd", "ttl_days", "memory_usd_per_gib_month"} <= {*floats}
    for name in floats:
        with monkeypatch.context() as patch:
            patch.setenv(f"CACHEWARM_{name.upper()}", value)
            with pytest.raises(ConfigurationError, match=f"CACHEWARM_{name.upper()}: "):
                load_settings()


def test_the_error_for_a_mistyped_variable_suggests_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEWARM_BUDGIT", "3")
    with pytest.raises(ConfigurationError, match="CACHEWARM_BUDGIT is not a setting; did you mean CACHEWARM_BUDGET"):
        load_settings()


def test_printed_settings_contain_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEWARM_REDIS_URL", "redis://:hunter2@cache:6379")
    monkeypatch.setenv("CACHEWARM_SOURCE_URL", "postgresql://app:hunter2@db/app")
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    settings = load_settings()
    assert "hunter2" not in repr(settings) + str(settings.model_dump())
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "hunter2"


def test_the_error_for_a_wrong_value_contains_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    monkeypatch.setenv("CACHEWARM_BUDGET", "x")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEWARM_REDIS_URL", "")
    assert load_settings().redis_url is None


def test_the_default_distances_of_variants_are_the_measured_ones() -> None:
    from cachewarm_pipeline.candidates.variant_filter import TOO_CLOSE, TOO_FAR

    settings = Settings()
    assert (settings.variant_min_distance, settings.variant_max_distance) == (TOO_CLOSE, TOO_FAR)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_settings_page_lists_every_setting_once_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = alias.choices[0] if isinstance(alias, AliasChoices) else f"CACHEWARM_{name.upper()}"
        default = field.get_default(call_default_factory=True)
        shown = "" if default is None else f"`{default}`"
        assert f"| `{variable}` | {shown} | {field.description} |" in page
        assert page.count(f"\n| `{variable}` |") == 1, variable


def test_a_missing_setting_of_warming_does_not_stop_other_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CACHEWARM_LLM", "openai")
    settings = load_settings()
    with pytest.raises(ConfigurationError, match="CACHEWARM_LLM=openai needs OPENAI_API_KEY"):
        settings.check_to_warm()


def test_base_queries_without_a_writer_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEWARM_BASE_QUERIES", "mine.yaml")
    load_settings().check_to_warm()  # the sample has a recorded writer
    monkeypatch.setenv("CACHEWARM_SOURCE_URL", "logs")
    with pytest.raises(ConfigurationError, match="no model writes variants"):
        load_settings().check_to_warm()


@pytest.mark.parametrize("value", ["billing=2", '{"billing": "x"}', '{"billing": 2.5}'])
def test_the_error_for_invalid_quotas_names_the_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CACHEWARM_QUOTAS", value)
    with pytest.raises(ConfigurationError, match="CACHEWARM_QUOTAS"):
        load_settings()
