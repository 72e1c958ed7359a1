"""The application's own tables behind the one ``Source`` port (ports.py): read, never written.

In: CACHEWARM_SOURCE_URL, and the mapping of table and column names. Out: one day of the log grouped by exact spelling,
golden findings, rejected answers, and what the source holds. Every engine runs the same Ibis expressions.

    open_source      a URL becomes a source: a folder, Postgres, Spark, or any other Ibis backend
    ibis_source      the source itself: finds the tables, runs the statements, translates errors
    log_table        statements about the query log: its days, one day's groups, rejected answers
    golden_tables    the statement about golden findings
    table_columns    the contract of the tables, and how any engine's columns become ours
    folder_files     which files of a folder are a table's, and which of them can have rows of a day
    ibis_engines     DuckDB and Spark over files; connections to Postgres and other databases
    ibis_rows        shared by the statements: running them, the shape and order of the rows
"""
