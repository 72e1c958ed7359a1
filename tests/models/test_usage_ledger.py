"""The usage ledger: rows add up, files are whole, and no run changes the file of another."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.models.usage_ledger import read_run, read_usage
from cachewarm_pipeline.models.usage_prices import EMBEDDING, JUDGING, Price, Total, totals
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.storage.measurement_schemas import USAGE
from cachewarm_pipeline.workspace.workspace import Workspace

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
DAY = NOON.date()
SMALL, CHAT = Price(EMBEDDING, "small", 0.02), Price(JUDGING, "chat", 0.4, 1.6)


def workspace(folder: Path, now: datetime = NOON) -> Workspace:
    return Workspace(Settings(home=folder), lambda: now)


def test_each_asset_day_model_and_share_is_a_row_with_its_price(tmp_path: Path) -> None:
    own = workspace(tmp_path)
    own.ledger.begin("run-1", "replay", DAY)
    for tokens in (100, 50):
        own.ledger.note(SMALL, tokens)
    own.ledger.note(CHAT, 300, 8)
    own.ledger.note(CHAT, 300, 8, share=0.5)
    own.ledger.note(SMALL, 0)
    own.ledger.begin("run-1", "replay", DAY - timedelta(1))
    own.ledger.note(SMALL, 7)
    own.ledger.write()
    table = read_usage(own.usage_folder, DAY, DAY)
    assert table.schema == USAGE
    rows = table.to_pylist()
    assert [(row["day"], row["model"], row["share"], row["prompt_tokens"]) for row in rows] == [
        (DAY - timedelta(1), "small", 1.0, 7),
        (DAY, "small", 1.0, 150),
        (DAY, "chat", 0.5, 300),
        (DAY, "chat", 1.0, 300),
    ]
    assert rows[2]["usd"] == pytest.approx((300 * 0.4 + 8 * 1.6) / 1e6 / 2)
    assert {(row["at"], row["run_id"], row["prices_as_of"]) for row in rows} == {
        (NOON, "run-1", own.settings.prices_as_of)
    }
    assert totals(rows)[EMBEDDING] == Total(157, pytest.approx(157 * 0.02 / 1e6))
    assert own.ledger.usd() == pytest.approx(7 * 0.02 / 1e6)


def test_a_day_that_is_run_again_adds_rows_and_changes_none(tmp_path: Path) -> None:
    first = workspace(tmp_path)
    first.ledger.begin("run-1", "embeddings", DAY)
    first.ledger.note(SMALL, 10)
    first.ledger.write()
    (file,) = (tmp_path / "data" / "usage").iterdir()
    before = file.read_bytes()
    for run in ("run-1", "run-2"):  # another process of the run, and another run
        again = workspace(tmp_path)
        again.ledger.begin(run, "embeddings", DAY)
        again.ledger.note(SMALL, 10)
        again.ledger.write()
        again.ledger.write()
    assert file.read_bytes() == before
    assert read_usage(first.usage_folder, DAY, DAY)["prompt_tokens"].to_pylist() == [10, 10, 10]
    assert read_run(first.usage_folder, "run-1")["prompt_tokens"].to_pylist() == [10, 10]


def test_rows_are_read_by_the_day_on_which_they_were_written(tmp_path: Path) -> None:
    moments = iter([NOON, NOON, NOON + timedelta(hours=13)])
    own = Workspace(Settings(home=tmp_path), lambda: next(moments))
    own.ledger.begin("run", "embeddings", date(2026, 1, 1))
    own.ledger.note(SMALL, 1)
    own.ledger.note(SMALL, 2)
    own.ledger.write()
    assert read_usage(own.usage_folder, DAY, DAY)["prompt_tokens"].to_pylist() == [1]
    assert read_usage(own.usage_folder, DAY + timedelta(1), date.max)["prompt_tokens"].to_pylist() == [2]
    assert read_usage(own.usage_folder, date.min, DAY - timedelta(1)).num_rows == 0


def test_a_damaged_file_is_an_error_and_is_not_skipped(tmp_path: Path) -> None:
    own = workspace(tmp_path)
    assert read_usage(own.usage_folder, date.min, date.max).equals(USAGE.empty_table())
    own.ledger.begin("run", "embeddings", DAY)
    own.ledger.note(SMALL, 1)
    own.ledger.write()
    (file,) = (tmp_path / "data" / "usage").iterdir()
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DatasetError, match=r"is damaged or unreadable.*delete it"):
        read_usage(own.usage_folder, DAY, DAY)


def test_the_ledger_can_be_in_an_object_store() -> None:
    own = Workspace(Settings(dataset_url="memory://ledger/data"), lambda: NOON)
    own.ledger.begin("run", "embeddings", DAY)
    for tokens in (1, 2):
        own.ledger.note(SMALL, tokens)
        own.ledger.write()
    assert read_usage(own.usage_folder, DAY, DAY)["prompt_tokens"].to_pylist() == [3]
