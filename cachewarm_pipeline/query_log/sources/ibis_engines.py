"""The engines that run the statements: DuckDB and Spark over files, Postgres and any other Ibis backend."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import reduce
from pathlib import Path
from typing import Any

from cachewarm_client.urls import redact_url

from cachewarm_pipeline.errors import ConfigurationError, SourceError

CONNECT_SECONDS = 10
"""A database that does not answer in this time is reported as unreachable. The driver's default would wait minutes."""


class DuckReader:
    """Reads files with an in-process DuckDB. Data that does not fit in memory goes to the system's temporary folder."""

    def __init__(self) -> None:
        import ibis

        self.connection = ibis.duckdb.connect()
        # Parquet statistics ignore NaN. DuckDB 2.0 trusts them, and takes x <= 1 as true where x is NaN, and even
        # isnan(x) as false. Row groups are still skipped by their statistics.
        self.connection.raw_sql("SET disabled_optimizers = 'statistics_propagation'")
        # DuckDB would create its spill folder in the current folder.
        self.connection.raw_sql(f"SET temp_directory = '{_quote(tempfile.gettempdir())}/cachewarm-duckdb'")

    def parquet(self, paths: Sequence[Path]) -> Any:
        # By name: a column that the app added later exists only in the newer files.
        return self.connection.read_parquet(_strings(paths), union_by_name=True, hive_partitioning=False)

    def csv(self, paths: Sequence[Path]) -> Any:
        # No sniffing: dirty rows would decide about the quote or the delimiter.
        return self.connection.read_csv(
            _strings(paths),
            all_varchar=True,
            header=True,
            delim=",",
            quote='"',
            escape='"',
            union_by_name=True,
            hive_partitioning=False,
        )

    def empty(self, columns: Sequence[str]) -> Any:
        import ibis

        # Not a memtable: ``snapshot`` compiles the expression, and compiling does not register memtables.
        schema = ibis.schema(dict.fromkeys(columns, "string"))
        return self.connection.create_table(ibis.util.gen_name("empty"), schema=schema, temp=True)

    @contextmanager
    def snapshot(self, expression: Any) -> Iterator[Any]:
        """The expression's rows as a temporary table: files are read and the expression is compiled only once."""
        import ibis

        name = ibis.util.gen_name("snapshot")
        self.connection.raw_sql(f'CREATE TEMP TABLE "{name}" AS {self.connection.compile(expression)}')
        try:
            yield self.connection.table(name)
        finally:
            self.connection.raw_sql(f'DROP TABLE "{name}"')

    def jsonl(self, paths: Sequence[Path]) -> Any:
        # The keys of every line are read: a key that only later lines have must not be lost.
        files = ", ".join(f"'{_quote(str(path))}'" for path in paths)
        keys = self.connection.raw_sql(
            "SELECT DISTINCT unnest(json_keys(json)) FROM "
            f"read_json_objects([{files}], format='newline_delimited', ignore_errors=true) "
            "WHERE json_type(json) = 'OBJECT' ORDER BY 1"
        ).fetchall()
        if not keys:
            raise SourceError(f"{paths[0]} has no line that is a JSON object")
        return self.connection.read_json(
            _strings(paths),
            columns={key: "VARCHAR" for (key,) in keys},
            format="newline_delimited",
            ignore_errors=True,
            hive_partitioning=False,
        )


class SparkReader:
    """Reads files with Spark, in local mode or on the cluster of spark-submit or spark-defaults."""

    def __init__(self) -> None:
        """Raises ConfigurationError if pyspark is not installed, SourceError if Spark does not start (Java)."""
        try:
            from pyspark import SparkConf
            from pyspark.sql import SparkSession
        except ImportError:
            raise ConfigurationError(
                "a spark:// source needs pyspark and Java 17: pip install 'cachewarm-pipeline[spark]'"
            ) from None
        import ibis

        builder = SparkSession.builder.appName("cachewarm").config("spark.sql.session.timeZone", "UTC")
        if not SparkConf().contains("spark.master"):
            # On one machine Spark's default of 200 tasks a shuffle only costs time.
            builder = builder.master("local[*]").config("spark.sql.shuffle.partitions", "8")
            builder = builder.config("spark.ui.enabled", "false")
        try:
            session = builder.getOrCreate()
            self.connection = ibis.pyspark.connect(session)
        except Exception as error:
            raise SourceError(f"Spark does not start: {first_line(error)}; it needs Java 17") from None
        self._spark = session

    def parquet(self, paths: Sequence[Path]) -> Any:
        return self._table(self._spark.read.option("mergeSchema", "true").parquet(*_strings(paths)))

    def csv(self, paths: Sequence[Path]) -> Any:
        options = {"header": "true", "multiLine": "true", "escape": '"'}
        # One by one: read together, files with different columns are matched by position.
        frames = [self._spark.read.options(**options).csv(str(path)) for path in paths]
        return self._table(reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames))

    def jsonl(self, paths: Sequence[Path]) -> Any:
        keys = [key for key in self._spark.read.json(_strings(paths)).columns if key != "_corrupt_record"]
        if not keys:
            raise SourceError(f"{paths[0]} has no line that is a JSON object")
        schema = ", ".join(f"`{key.replace('`', '``')}` STRING" for key in keys)
        return self._table(self._spark.read.schema(schema).json(_strings(paths)))

    def empty(self, columns: Sequence[str]) -> Any:
        import ibis

        return ibis.memtable([], schema=dict.fromkeys(columns, "string"))

    @contextmanager
    def snapshot(self, expression: Any) -> Iterator[Any]:
        """The expression's rows, cached by Spark in memory and on disk."""
        with expression.cache() as cached:
            yield cached

    def _table(self, frame: Any) -> Any:
        import ibis

        name = ibis.util.gen_name("cachewarm")
        frame.createOrReplaceTempView(name)
        return self.connection.table(name)


class DatabaseTables:
    """The tables of a database that Ibis is connected to."""

    def __init__(self, connection: Any, shown: str) -> None:
        """``shown`` is the URL without secrets."""
        self.connection = connection
        self.counts_are_cheap = False
        if connection.name == "postgres":
            import psycopg

            # All statements about one day see the same state of the table, and nothing can be written by mistake.
            connection.con.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.con.read_only = True
        self._shown = shown

    def place(self, name: str) -> str:
        """The table as messages name it."""
        return f"table {name} in {self._shown}"

    def has(self, name: str) -> bool:
        """Whether the database has the table."""
        return self.table(name) is not None

    def table(self, name: str) -> Any | None:
        """The table ``name``, ``schema.name`` or ``catalog.schema.name``; None if it does not exist."""
        import ibis.common.exceptions as ibis_errors

        *namespace, bare = name.split(".")
        where = {"database": tuple(namespace) if len(namespace) > 1 else namespace[0]} if namespace else {}
        try:
            return self.connection.table(bare, **where)
        except ibis_errors.TableNotFound:
            return None

    def day(self, name: str, _day: Any, _time_column: str) -> Any | None:
        """The whole table: an index or partitions on its time column make a day cheap."""
        return self.table(name)

    def version(self, _name: str, _day: Any, _time_column: str) -> str:
        """Empty: a database cannot tell cheaply whether a day's rows changed."""
        return ""

    @contextmanager
    def snapshot(self, expression: Any) -> Iterator[Any]:
        """The expression itself, on Postgres in one transaction. Nothing is written to a database."""
        with self.connection.con.transaction() if self.connection.name == "postgres" else nullcontext():
            yield expression


def connect_postgres(url: str) -> Any:
    """An Ibis connection to Postgres. Raises ConfigurationError without psycopg, SourceError if it cannot be opened.
    Messages are one line without secrets."""
    import ibis

    try:
        import psycopg
    except ImportError as error:
        raise ConfigurationError(
            f"a postgresql:// source needs psycopg and libpq ({first_line(error)}): pip install 'psycopg[binary]'"
        ) from None
    url = normal_postgres_url(url)
    try:
        options: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(url)
        options.setdefault("connect_timeout", CONNECT_SECONDS)
        return ibis.postgres.from_connection(psycopg.connect(**options, autocommit=True))
    except (psycopg.Error, ValueError, UnicodeError) as error:
        raise SourceError(
            f"source {redact_url(url)} cannot be opened: {first_line(error)}; check CACHEWARM_SOURCE_URL and the server"
        ) from None


def normal_postgres_url(url: str) -> str:
    """The URL in libpq's form: ``postgres://`` and SQLAlchemy's ``postgresql+driver://`` become ``postgresql://``."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url, flags=re.IGNORECASE)


def connect_any(url: str) -> Any:
    """An Ibis connection to any other backend. Raises ConfigurationError if the URL is invalid or a driver is missing,
    SourceError if it cannot be opened. Messages are one line without secrets."""
    import ibis

    scheme = url.split("://", 1)[0]
    # By default DuckDB takes the file's only write lock, which the app may need.
    options = {"read_only": True} if scheme == "duckdb" or url.endswith(".duckdb") else {}
    try:
        return ibis.connect(url, **options)
    except ImportError as error:
        raise ConfigurationError(
            f"source {redact_url(url)} needs a driver that is not installed ({first_line(error)}): "
            f"pip install 'ibis-framework[{scheme}]'"
        ) from None
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"source {redact_url(url)} is not a URL that Ibis supports ({clean_error(error, url)}); "
            "use postgresql://, spark:///folder, a folder, or another Ibis backend's URL"
        ) from None
    except Exception as error:
        raise SourceError(f"source {redact_url(url)} cannot be opened: {clean_error(error, url)}") from None


def first_line(error: BaseException) -> str:
    """The first line of an error's text, at most 300 characters; the name of its class if it has no text."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]


def clean_error(error: BaseException, url: str) -> str:
    """``first_line`` with the URL redacted, for drivers that repeat the URL."""
    return first_line(error).replace(url, redact_url(url))


def _strings(paths: Sequence[Path]) -> list[str]:
    return [str(path) for path in paths]


def _quote(text: str) -> str:
    return text.replace("'", "''")
