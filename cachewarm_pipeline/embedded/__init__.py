"""What makes the default work without any setup: a Redis server and sample data. Production sets URLs and uses neither.

- ``redis_server.py``: starts, finds and stops the embedded Redis of a home folder
- ``sample/``: synthetic tables of an application, with the ground truth for tests
- ``recorded_variants.json``: variants of the sample's base queries, recorded from a model (read by ``candidates``)
"""
