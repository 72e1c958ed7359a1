"""Dagster's own storage, chosen by environment variables. A dagster.yaml has no conditions, so it names this class."""

import os
from pathlib import Path
from typing import Any

# Private modules: Dagster 1.13 exports neither its storage base class, nor the SQLite storage, nor
# ConfigurableClassData, although `storage: custom:` in dagster.yaml needs all three. Its own dagster-postgres imports
# the same modules.
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from cachewarm_pipeline.errors import ConfigurationError


def psycopg2_url(url: str) -> str:
    """A Postgres URL with the driver of dagster-postgres in its scheme. Raises ConfigurationError for another URL."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise ConfigurationError("CACHEWARM_DAGSTER_POSTGRES_URL is not a postgresql:// URL")
    return f"postgresql+psycopg2://{rest}"


class StorageByEnvironment(DagsterSqliteStorage):
    """Postgres when ``CACHEWARM_DAGSTER_POSTGRES_URL`` is set, else SQLite under ``<CACHEWARM_HOME>/dagster``.

    Users' dagster.yaml files name this class under ``storage: custom:``, so its path and name must stay. It returns
    Dagster's own storage classes and only chooses between them.
    """

    @classmethod
    def config_type(cls) -> Any:
        """No configuration: the environment decides."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData, config_value: Any
    ) -> DagsterStorage:
        """The storage that the environment asks for."""
        url = os.environ.get("CACHEWARM_DAGSTER_POSTGRES_URL")
        if url:
            from dagster_postgres import DagsterPostgresStorage

            return DagsterPostgresStorage(postgres_url=psycopg2_url(url), inst_data=inst_data)
        folder = Path(os.environ.get("CACHEWARM_HOME") or ".cachewarm").absolute() / "dagster"
        return DagsterSqliteStorage.from_local(str(folder), inst_data=inst_data)
