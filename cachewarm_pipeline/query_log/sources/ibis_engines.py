"""The engines that run the expressions: DuckDB and Spark over files, Postgres and any other Ibis backend."""

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
"""A database that does not answer in this time is told as unreachable; the driver's own default is to wait minutes."""


class DuckReader:
    """Reads files with an in-process DuckDB; what does not fit in memory spills to the system's temporary folder."""

    def __init__(self) -> None:
        import ibis

        self.connection = ibis.duckdb.connect()
        # Parquet statistics leave NaN out. Trusting them, DuckDB 2.0 takes x <= 1 as true where x is NaN, and even
        # isnan(x) as false. Row groups are passed over by their statistics just the same.
        self.connection.raw_sql("SET disabled_optimizers = 'statistics_propagation'")
        # DuckDB would make its spill folder in the current folder.
        self.connection.raw_sql(f"SET temp_directory = '{_quote(tempfile.gettempdir())}/cachewarm-duckdb'")

    def parquet(self, paths: Sequence[Path]) -> Any:
        # By name: a column that the app added later is in the newer files only.
        return self.connection.read_parquet(_strings(paths), union_by_name=True, hive_partitioning=False)

    def csv(self, paths: Sequence[Path]) -> Any:
        # Nothing is sniffed: dirty rows would decide on the quote or the delimiter.
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

        # Not a memtable: what is held is compiled, and that does not bring a memtable to the engine.
        schema = ibis.schema(dict.fromkeys(columns, "string"))
        return self.connection.create_table(ibis.util.gen_name("empty"), schema=schema, temp=True)

    @contextmanager
    def hold(self, expression: Any) -> Iterator[Any]:
        """The expression's rows as a temporary table: files are read, and the expression compiled, once."""
        import ibis

        name = ibis.util.gen_name("held")
        self.connection.raw_sql(f'CREATE TEMP TABLE "{name}" AS {self.connection.compile(expression)}')
        try:
            yield self.connection.table(name)
        finally:
            self.connection.raw_sql(f'DROP TABLE "{name}"')

    def jsonl(self, paths: Sequence[Path]) -> Any:
        # Every line is looked at for its keys: one that only later lines have must not be lost.
        files = ", ".join(f"'{_quote(str(path))}'" for path in paths)
        keys = self.connection.raw_sql(
            "SELECT DISTINCT unnest(json_keys(json)) FROM "
            f"read_json_objects([{files}], format='newline_delimited', ignore_errors=true) "
            "WHERE json_type(json) = 'OBJECT' ORDER BY 1"
        ).fetchall()
        if not keys:
            raise SourceError(f"{paths[0]} holds no line that is a JSON object")
        return self.connection.read_json(
            _strings(paths),
            columns={key: "VARCHAR" for (key,) in keys},
            format="newline_delimited",
            ignore_errors=True,
            hive_partitioning=False,
        )


class SparkReader:
    """Reads files with Spark: local mode, or the cluster that spark-submit or spark-defaults names."""

    def __init__(self) -> None:
        """Raises ConfigurationError when pyspark is not installed, SourceError when Spark does not start (Java)."""
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
            # One machine has no use for Spark's 200 tasks a shuffle.
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
        # One by one: files of other columns would be read by position.
        frames = [self._spark.read.options(**options).csv(str(path)) for path in paths]
        return self._table(reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames))

    def jsonl(self, paths: Sequence[Path]) -> Any:
        keys = [key for key in self._spark.read.json(_strings(paths)).columns if key != "_corrupt_record"]
        if not keys:
            raise SourceError(f"{paths[0]} holds no line that is a JSON object")
        schema = ", ".join(f"`{key.replace('`', '``')}` STRING" for key in keys)
        return self._table(self._spark.read.schema(schema).json(_strings(paths)))

    def empty(self, columns: Sequence[str]) -> Any:
        import ibis

        return ibis.memtable([], schema=dict.fromkeys(columns, "string"))

    @contextmanager
    def hold(self, expression: Any) -> Iterator[Any]:
        """The expression's rows, cached by Spark in memory and on disk."""
        with expression.cache() as held:
            yield held

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

            # The questions about one day see one moment of the table; and nothing can be written by mistake.
            connection.con.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.con.read_only = True
        self._shown = shown

    def place(self, name: str) -> str:
        """What messages call a table."""
        return f"table {name} in {self._shown}"

    def has(self, name: str) -> bool:
        """Whether the database has the table."""
        return self.table(name) is not None

    def table(self, name: str) -> Any | None:
        """The table ``name``, ``schema.name`` or ``catalog.schema.name``; None when it is not there."""
        import ibis.common.exceptions as ibis_errors

        *namespace, bare = name.split(".")
        where = {"database": tuple(namespace) if len(namespace) > 1 else namespace[0]} if namespace else {}
        try:
            return self.connection.table(bare, **where)
        except ibis_errors.TableNotFound:
            return None

    def day(self, name: str, _day: Any, _time_column: str) -> Any | None:
        """The table: an index or partitions on the time column keep a day's cost flat here."""
        return self.table(name)

    def version(self, _name: str, _day: Any, _time_column: str) -> str:
        """Empty: a database does not tell cheaply whether a day's rows changed."""
        return ""

    @contextmanager
    def hold(self, expression: Any) -> Iterator[Any]:
        """The expression itself: a database reads its own tables well, and nothing is written to it."""
        with self.connection.con.transaction() if self.connection.name == "postgres" else nullcontext():
            yield expression


def connect_postgres(url: str) -> Any:
    """An Ibis connection that reads only. Raises SourceError in one line, without secrets."""
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
    """The URL as libpq reads it: ``postgres://`` and SQLAlchemy's ``postgresql+driver://`` become ``postgresql://``."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url, flags=re.IGNORECASE)


def connect_any(url: str) -> Any:
    """An Ibis connection of any other backend. Raises ConfigurationError or SourceError in one line."""
    import ibis

    scheme = url.split("://", 1)[0]
    # DuckDB's default takes the file's only lock for writing, away from the app.
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
            f"source {redact_url(url)} is not a URL that Ibis knows ({clean_error(error, url)}); "
            "use postgresql://, spark:///folder, a folder, or another Ibis backend's URL"
        ) from None
    except Exception as error:
        raise SourceError(f"source {redact_url(url)} cannot be opened: {clean_error(error, url)}") from None


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its class where it has none, at most 300 characters."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]


def clean_error(error: BaseException, url: str) -> str:
    """The first line of an error's text with the URL redacted, for drivers that repeat it."""
    return first_line(error).replace(url, redact_url(url))


def _strings(paths: Sequence[Path]) -> list[str]:
    return [str(path) for path in paths]


def _quote(text: str) -> str:
    return text.replace("'", "''")
