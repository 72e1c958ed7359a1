"""Opens a source: a folder of files, Postgres, Spark, or any other engine that Ibis supports."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cachewarm_client.text import sha256_hex
from cachewarm_client.urls import redact_url

from cachewarm_pipeline.ports import Source
from cachewarm_pipeline.query_log.log_formats.connector import Connector
from cachewarm_pipeline.query_log.log_formats.registry import OWN, VERSION, connector_of
from cachewarm_pipeline.query_log.sources import ibis_engines as engines
from cachewarm_pipeline.query_log.sources.folder_files import FolderTables
from cachewarm_pipeline.query_log.sources.ibis_source import IbisSource, Tables
from cachewarm_pipeline.query_log.sources.table_columns import LOG, SPECS, check_mapping


def open_source(
    url: str | Path,
    *,
    tables: Mapping[str, str],
    columns: Mapping[str, Mapping[str, str]],
    max_response_bytes: int = 65_536,
    log_format: str = OWN,
) -> Source:
    """Opens a folder, ``postgresql://``, ``spark:///folder`` or any URL that ``ibis.connect`` accepts.

    ``tables`` maps our table names to the source's ("schema.table" in a database). ``columns`` maps, for each of our
    tables, our column names to the source's. Responses over ``max_response_bytes`` are counted and never fetched.
    ``log_format`` is ``own``, or the tool that wrote the log (registry.CONNECTORS); the log table then has the name
    that the tool gives it, unless ``tables`` maps it.

    Raises ConfigurationError for an invalid URL, format or mapping; SourceError if the source cannot be reached, or has
    neither the log nor the golden tables. Messages contain no password.
    """
    check_mapping(tables, columns)
    connector = connector_of(log_format)
    expected = _expected(tables, columns, connector)
    text = str(url)
    scheme = match[1].lower() if (match := re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)) else "file"
    found: Tables
    if re.fullmatch(r"postgres(ql)?(\+\w+)?", scheme):
        found = engines.DatabaseTables(engines.connect_postgres(text), redact_url(text))
    elif scheme == "spark":
        found = FolderTables(_folder_of(text), engines.SparkReader(), expected)
    elif scheme == "file" and not _folder_of(text).is_file():
        found = FolderTables(_folder_of(text), engines.DuckReader(), expected)
    else:
        found = engines.DatabaseTables(engines.connect_any(text), redact_url(text))
    options = [tables, columns, max_response_bytes, *([] if connector is None else [log_format, VERSION])]
    fingerprint = sha256_hex(_address(text, scheme), json.dumps(options, sort_keys=True))
    return IbisSource(found, tables, columns, max_response_bytes, redact_url(text), fingerprint[:16], connector)


def _expected(
    tables: Mapping[str, str], columns: Mapping[str, Mapping[str, str]], connector: Connector | None
) -> dict[str, Sequence[str]]:
    """For each table name in the source, the column names that the mapping expects."""
    expected: dict[str, Sequence[str]] = {
        tables.get(name, name): [columns.get(name, {}).get(ours, ours) for ours in (*spec.required, *spec.optional)]
        for name, spec in SPECS.items()
    }
    if connector is not None:
        names = (tables[LOG.name],) if LOG.name in tables else connector.tables
        expected |= dict.fromkeys(names, connector.columns)
    return expected


def _folder_of(url: str) -> Path:
    return Path(re.sub(r"^[A-Za-z][A-Za-z0-9+.-]+://", "", url)).expanduser()


def _address(url: str, scheme: str) -> str:
    """What identifies a source: a folder's full path, or a URL without user, password and secrets."""
    if scheme in ("file", "spark"):
        return str(_folder_of(url).resolve())
    return redact_url(engines.normal_postgres_url(url))
