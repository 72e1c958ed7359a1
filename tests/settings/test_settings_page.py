"""docs/settings.md is what scripts/settings_page.py generates from the settings classes."""

import pytest

from cachewarm_pipeline.settings import Settings
from scripts.settings_page import COMMAND, PAGE, owner_of, page


def test_the_settings_page_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    assert written == page(), f"docs/settings.md is out of date: run `{COMMAND}`"


def test_the_page_does_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = page()
    monkeypatch.setenv("CACHEWARM_BUDGET", "7")
    assert page() == before


def test_each_setting_is_in_the_table_of_its_class() -> None:
    owners = [owner_of(name) for name in Settings.model_fields]
    headings = page().count("\n## ")
    assert headings == len(dict.fromkeys(owners)), "a class of settings is split over two tables"
