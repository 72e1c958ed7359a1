"""The synthetic sample of an application's tables: agents that review and plan code, their questions and answers.

``ensure_sample`` and ``generate_log`` write it; ``truth`` tells tests what is right. Everything is made up from the
word lists of this package; nothing of it is real.
"""

from cachewarm_pipeline.embedded.sample.writer import ensure_sample, generate_log, sample_ready

__all__ = ["ensure_sample", "generate_log", "sample_ready"]
