"""Dagster's own storage by environment: dagster.yaml cannot branch, so the class that it names does."""

import os
from pathlib import Path
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from cachewarm_pipeline.errors import ConfigurationError


def psycopg2_url(url: str) -> str:
    """A Postgres URL with the driver that dagster-postgres ships named in it, whatever form it came in."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise ConfigurationError("CACHEWARM_DAGSTER_POSTGRES_URL is not a postgresql:// URL")
    return f"postgresql+psycopg2://{rest}"


class StorageByEnvironment(DagsterSqliteStorage):
    """Postgres when ``CACHEWARM_DAGSTER_POSTGRES_URL`` is set, else SQLite under ``<CACHEWARM_HOME>/dagster``.

    Named in dagster.yaml under ``storage: custom:``. It only chooses: what it makes is Dagster's own storage.
    """

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData, config_value: Any
    ) -> DagsterStorage:
        url = os.environ.get("CACHEWARM_DAGSTER_POSTGRES_URL")
        if url:
            from dagster_postgres import DagsterPostgresStorage

            return DagsterPostgresStorage(postgres_url=psycopg2_url(url), inst_data=inst_data)
        folder = Path(os.environ.get("CACHEWARM_HOME") or ".cachewarm").absolute() / "dagster"
        return DagsterSqliteStorage.from_local(str(folder), inst_data=inst_data)
