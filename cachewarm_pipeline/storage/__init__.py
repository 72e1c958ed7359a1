"""Storage: datasets, vectors and paid answers as Parquet files in a folder or an object store.

In: tables, vectors and values by key. Out: the same, checked, or an error of one line that says what to do.

- ``datasets``: one Parquet file for each asset and day; ``schemas``: the schema of each dataset.
- ``candidate_schemas``, ``plan_schemas``, ``proof_schemas``, ``answer_schemas``, ``measurement_schemas``: the columns,
  by stage; ``schema_fields``: what they are made of.
- ``vector_store``: the port of a store of vectors; ``vectors``: the store in immutable Parquet segments.
- ``parquet_segments``: values by key (written texts, verdicts) in immutable Parquet segments.
- ``files``: files under a base URI, written atomically.
"""
