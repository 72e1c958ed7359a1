"""Where things are: state folder, cache, source, datasets, Dagster's storage."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr


class PlaceSettings(BaseModel):
    """Where things are: state folder, cache, source, datasets, Dagster's storage."""

    home: Path = Field(
        Path(".cachewarm"), description="Folder for the embedded servers, the sample, datasets and Dagster's storage."
    )
    name: str = Field(
        "cachewarm", description="Name of the cache: the Redis alias that readers open. `warm` is reserved."
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis 8+ with its query engine. Unset: the embedded server is started."
    )
    source_url: SecretStr | None = Field(
        None,
        description="postgresql://..., spark:///folder, a folder of Parquet, CSV or JSONL, or `sample`. Unset: the "
        "sample, unless CACHEWARM_REDIS_URL is set.",
    )
    dataset_url: str | None = Field(
        None, description="Base URI of the datasets between assets (folder or any fsspec URI). Unset: `<home>/data`."
    )
    dagster_postgres_url: SecretStr | None = Field(
        None, description="Dagster's own storage in Postgres. Unset: SQLite under `<home>/dagster`."
    )
