"""Ports to the world: sources, datasets, embedders, vectors and the cache in Redis. None of them imports Dagster
but `workspace`, which opens them from the settings."""
