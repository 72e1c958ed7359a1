"""The few responses and users of each group of log rows that are kept, as Ibis expressions."""

from functools import cache
from typing import Any

from cachewarm_pipeline.query_log.sources.table_columns import null_of
from cachewarm_pipeline.storage.schemas import MAX_RESPONSES, MAX_USERS


def top_responses(kept: Any, by: list[str], models: bool) -> Any:
    """The MAX_RESPONSES responses of each query with the most rows, then the newest."""
    import ibis

    usable = kept.filter(kept.usable)
    by_model = [*by, "response", *(["model"] if models else [])]
    counted = usable.group_by(by_model).aggregate(
        count=usable.count(),
        last_at=usable.at.max(),
        negative=usable.count(where=usable.negative),
        anonymous=usable.count(where=~_known_user(usable)),
    )
    if models:
        # Not argmax(): of two models at the same time it takes any, and two reads of a day must give the same.
        newest = counted.last_at.max().over(ibis.window(group_by=[*by, "response"]))
        marked = counted.mutate(newest=counted.last_at == newest)
        counted = marked.group_by([*by, "response"]).aggregate(
            count=marked["count"].sum().cast("int64"),
            last_at=marked.last_at.max(),
            negative=marked.negative.sum().cast("int64"),
            anonymous=marked.anonymous.sum().cast("int64"),
            model=marked.model.min(where=marked.newest),
        )
    else:
        counted = counted.mutate(model=null_of("string"))
    order = [ibis.desc(counted["count"]), ibis.desc(counted.last_at), counted.response]
    return _first_of_each(counted, by, order, MAX_RESPONSES)


def some_users(kept: Any, by: list[str], engine: str) -> Any:
    """MAX_USERS distinct users of each group: those with the smallest hashes where the engine can hash.

    An engine that cannot gives others. A full set then still means "at least MAX_USERS", and an estimate from it is too
    low, never too high.
    """
    known = kept.filter(_known_user(kept))
    distinct = known.select(*by, "user_id").distinct()
    return _first_of_each(distinct, by, [_hashed(distinct.user_id, engine), distinct.user_id], MAX_USERS)


def _known_user(rows: Any) -> Any:
    return (rows.user_id != "").fill_null(False)


def _hashed(user: Any, engine: str) -> Any:
    """The user's SHA-256 in hexadecimal, of which ``hash_user`` takes the beginning; the id itself where the engine has
    no such function."""
    if engine in ("duckdb", "pyspark"):
        return user.hexdigest("sha256")
    if engine == "postgres":
        convert_to, sha256, encode = _postgres_functions()
        return encode(sha256(convert_to(user, "UTF8")), "hex")
    return user


@cache
def _postgres_functions() -> tuple[Any, Any, Any]:
    """Ibis has no SHA-256 for Postgres, which has had it since version 11."""
    import ibis

    def convert_to(text: str, encoding: str) -> bytes:
        return b""  # the database does it

    def sha256(data: bytes) -> bytes:
        return b""  # the database does it

    def encode(data: bytes, form: str) -> str:
        return ""

    one, two, three = (ibis.udf.scalar.builtin(function) for function in (convert_to, sha256, encode))
    return one, two, three


def _first_of_each(table: Any, by: list[str], order: list[Any], most: int) -> Any:
    import ibis

    names = list(table.columns)
    ranked = table.mutate(place=ibis.row_number().over(ibis.window(group_by=by, order_by=order)))
    return ranked.filter(ranked.place < most).select(*names)
