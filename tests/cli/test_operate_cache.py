"""Operating the live cache, from the command line and with the jobs of the UI: roll back, pin, release, withdraw an
entry, reinstate it, load at once."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect
from tests.support.pipeline import QUIET, Buffers, Cachewarm, environment
from tests.support.small_app import AGENT, USUAL, App, settings_of

NOW = datetime(2026, 3, 23, tzinfo=UTC)


@dataclass
class Team:
    cachewarm: Cachewarm
    store: CacheStore

    def warm(self, day: str) -> None:
        ran = self.cachewarm("warm", "--as-of", day)
        assert ran.code == 0, ran.err

    def live(self) -> str:
        live = self.store.live()
        assert live is not None
        return live.as_of.isoformat()


def closed_window() -> dict[str, str]:
    """An off-peak window that is closed now."""
    begins = datetime.now(UTC) + timedelta(hours=2)
    return {"CACHEWARM_OFF_PEAK": f"{begins:%H:%M}-{begins + timedelta(hours=1):%H:%M}"}


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Path:
    """A folder with the log (`source`) and the home (`home`) after 21 March was warmed."""
    folder = tmp_path_factory.mktemp("warmed")
    (folder / "home").mkdir()
    App(folder / "source").history(NOW, 6)
    with Buffers() as buffers:
        first = Cachewarm(buffers, settings_of(folder / "home", folder / "source", redis_url, "t-operate"))
        assert first("warm", "--as-of", "2026-03-21").code == 0
    return folder


@pytest.fixture
def team(
    tmp_path: Path, warmed: Path, redis_url: str, cache_name: str, capsys: pytest.CaptureFixture[str]
) -> Iterator[Team]:
    """A home of its own with one generation, of 21 March: a run publishes the plan that was made once."""
    shutil.copytree(warmed / "home" / "data", tmp_path / "home" / "data")
    values = settings_of(tmp_path / "home", warmed / "source", redis_url, cache_name)
    with environment(values), dg.DagsterInstance.ephemeral() as instance:
        from cachewarm_pipeline.definitions import defs

        load = defs.resolve_job_def("load_cache")
        assert load.execute_in_process(run_config=QUIET, instance=instance, partition_key="2026-03-21").success
    with connect(redis_url) as client:
        team = Team(Cachewarm(capsys, values), CacheStore(client, cache_name))
        assert team.live() == "2026-03-21"
        yield team


def test_a_rollback_pins_and_nothing_is_published_until_release(team: Team) -> None:
    team.warm("2026-03-22")
    ran = team.cachewarm("rollback", "--why", "looks old")
    assert ran.code == 0
    assert "live again: 20260321-" in ran.err
    assert "pinned, so nothing is published until `cachewarm release`" in ran.err

    stopped = team.cachewarm("warm", "--as-of", "2026-03-22")
    assert stopped.code == 1
    assert "pinned to generation 20260321-" in stopped.err
    assert "(looks old): `cachewarm release`" in stopped.err
    assert team.live() == "2026-03-21"

    listed = team.cachewarm("generations")
    assert "pinned since" in listed.out
    assert "looks old" in listed.out
    assert [one["pinned"] for one in team.cachewarm("generations", "--json").json] == [True, False]

    twice = team.cachewarm("rollback")
    assert twice.code == 1
    assert "already rolled back: 20260321-" in twice.err
    assert team.live() == "2026-03-21"

    assert "released 20260321-" in team.cachewarm("release").err
    assert team.cachewarm("release").err == "no generation was pinned\n"
    assert team.cachewarm("warm", "--as-of", "2026-03-22").code == 0
    assert team.live() == "2026-03-22"


def test_the_jobs_of_the_ui_roll_back_and_release(team: Team) -> None:
    team.warm("2026-03-22")
    with environment(team.cachewarm.environment), dg.DagsterInstance.ephemeral() as instance:
        from cachewarm_pipeline.definitions import defs

        config = {**QUIET, "ops": {"roll_back_and_pin": {"config": {"why": "by the UI"}}}}
        assert defs.resolve_job_def("roll_back").execute_in_process(run_config=config, instance=instance).success
        assert team.live() == "2026-03-21"
        pin = team.store.pinned()
        assert pin is not None
        assert pin.why == "by the UI"
        assert defs.resolve_job_def("release_pin").execute_in_process(run_config=QUIET, instance=instance).success
        assert team.store.pinned() is None


def test_a_withdrawn_entry_misses_at_once_and_is_served_again_after_reinstate(team: Team) -> None:
    cachewarm, bad = team.cachewarm, USUAL[0]
    assert cachewarm("lookup", bad, "-a", AGENT).out.startswith("hit")
    ran = cachewarm("withdraw", bad, "-a", AGENT, "--why", "wrong")
    assert ran.code == 0, ran.err
    assert "out of service" in ran.err
    assert cachewarm("lookup", bad, "-a", AGENT).out.startswith("miss")
    listed = cachewarm("withdrawn").out
    assert listed.startswith("withdrawn answers: 1; reported and still served: 0")
    assert f"{AGENT}: {bad}  wrong" in listed
    assert cachewarm("withdraw", bad, "-a", AGENT).err.startswith("error: this entry is withdrawn already")

    report = cachewarm("warm", "--as-of", "2026-03-22", "--json", "-")
    assert report.code == 0, report.err
    assert report.json["counts"]["reported_wrong"] == 1
    assert report.json["entries"]["total"] == len(USUAL) - 1

    assert cachewarm("reinstate", bad, "-a", AGENT).code == 0
    assert cachewarm("warm", "--as-of", "2026-03-22").code == 0
    assert cachewarm("lookup", bad, "-a", AGENT).out.startswith("hit")


def test_withdraw_and_reinstate_of_a_prompt_without_such_an_entry_change_nothing(team: Team) -> None:
    unknown = team.cachewarm("withdraw", "Never asked", "-a", AGENT)
    assert unknown.code == 1
    assert "no entry of 'support' has this prompt; nothing was changed" in unknown.err
    served = team.cachewarm("reinstate", USUAL[0], "-a", AGENT)
    assert served.code == 1
    assert "no withdrawn entry of 'support' has this prompt" in served.err
    assert team.cachewarm("lookup", USUAL[0], "-a", AGENT).out.startswith("hit")


def test_a_progressive_warm_reports_its_progress_and_now_loads_at_once(team: Team) -> None:
    slow = {"CACHEWARM_PROGRESSIVE": "true", "CACHEWARM_OFF_PEAK": "00:00-24:00", "CACHEWARM_ENTRIES_PER_MINUTE": "1"}
    ran = team.cachewarm("warm", "--as-of", "2026-03-22", **slow)
    assert ran.code == 0, ran.err
    assert "Loading for 2026-03-22: 5 of 9 entries" in ran.out
    assert "FAILED" not in ran.err
    assert team.live() == "2026-03-21"
    report = team.cachewarm("warm", "--as-of", "2026-03-22", "--json", "-", **slow).json
    assert report["published"] is False
    assert report["loading"]["of"] == 9
    assert "5 loaded so far" in team.cachewarm("generations").out

    peak = team.cachewarm("warm", "--as-of", "2026-03-21", **{**slow, "CACHEWARM_BUDGET": "3", **closed_window()})
    assert peak.code == 0, peak.err  # planned again in peak hours: no error, and nothing was published
    assert "FAILED" not in peak.err

    done = team.cachewarm("warm", "--as-of", "2026-03-22", "--now", **slow)
    assert done.code == 0, done.err
    assert "Published generation 20260322-" in done.out
    assert team.live() == "2026-03-22"
    assert team.store.filling() is None
