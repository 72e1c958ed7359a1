"""Servers, fakes and data that tests of several rooms share. Nothing here is a test.

Real servers: servers (Redis), postgres_server, daemon (Dagster's daemon on a clock of the test), dagster_storage (a
faster SQLite storage of Dagster).
Paid servers, faked over real HTTP: openai_server (embeddings), chat_server (judge), writer_server (variants, files and
batches), paid_models (all three).
Cache: cache_fakes (embedder, plans, publishing), cache_fixtures (their fixtures), cache_crash (publishers that are
killed), labelled_log (for the match rules).
Log: source_data and source_forms (one log in every form of source), log_format_data (LiteLLM, Langfuse, OpenTelemetry),
small_app (an application with its log).
Pipeline: pipeline (the command line in this process), checked_project (answer checks), sensor_watch (sensors).
Stored days: stored_rows, payback_data, impact_days.
Property tests: any_response.
"""
