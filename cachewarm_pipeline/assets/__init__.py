"""The lineage graph, one asset a file. A body reads like a sentence: read, one core function, write, metadata."""
