"""Logs that other tools keep, read as our own: LiteLLM's SpendLogs, Langfuse's observations, OpenTelemetry's spans.

In: the tool's own table. Out: the same table under the columns of ``llm_query_logs``, as one Ibis
expression, so that the engine still does one GROUP BY a day and Python never sees rows. Two columns are added: why a
row is excluded (table_columns.EXCLUDED), and why only its answer is excluded while the row stays demand
(table_columns.ANSWER_EXCLUDED).

    registry         the known formats, by the name that CACHEWARM_LOG_FORMAT gives
    connector        how one tool's table is mapped to our columns
    litellm, langfuse, otel    one connector each
    tool_table       a tool's table, with access to its JSON and its attributes
    chat_messages    which text of a logged conversation is the prompt, and which the answer
    json_dialects    JSON and timestamps on the two engines that connectors run on
"""
