"""The query log: the application's own tables, read and reduced to one table of counts a day.

In: the tables of the source (``analyses``, ``findings``, ``llm_query_logs``), or the log of another tool.
Out: the dataset ``daily_query_counts``: for each canonical query and agent_type of a UTC day how often it was asked, by
how many users, which responses it got and what they cost.

    sources/         the source's tables on any engine: files, Postgres, Spark, other Ibis backends
    log_formats/     logs of other tools: LiteLLM, Langfuse, OpenTelemetry
    daily_counts     an engine's groups of exact spellings become counts of canonical queries
    response_text    reading one logged response: JSON, canonical form, why it is no answer
    mined_days       the stored counts of a window, for the stages that follow
    day_weights      how much each day of a window counts in the demand forecast
    assets           the assets: the source's tables (external) and ``daily_query_counts``

Which queries are frequent, and which response is warmed, is decided in ``candidates`` and ``answers``.
"""
