"""Commands write JSON that every program can read, or nothing."""

import json
from pathlib import Path

import pytest

from cachewarm_pipeline.cli.console import emit
from cachewarm_pipeline.errors import CachewarmError
from tests.support.pipeline import Cachewarm


def test_a_report_with_nan_or_infinity_is_refused_and_the_number_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.json"
    emit({"usd": 1.5}, str(target))
    for to in ("-", str(target)):
        with pytest.raises(CachewarmError, match=r"NaN or infinity at cost\.usd, curve\[1\]\.gain"):
            emit({"cost": {"usd": float("inf")}, "curve": [{"gain": 1.0}, {"gain": float("nan")}]}, to)
    assert capsys.readouterr().out == ""
    assert json.loads(target.read_text()) == {"usd": 1.5}


def test_version_names_both_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Cachewarm(capsys)("--version")
    assert (ran.code, ran.out) == (0, "cachewarm-pipeline 0.1.0, cachewarm-client 0.1.0\n")
