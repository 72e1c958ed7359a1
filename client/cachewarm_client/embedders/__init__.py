"""The embedders that make a cache's vectors: texts in, unit vectors out.

- ``embedder``: the protocol, and what identifies an embedder.
- ``minilm``: the embedded model (extra ``minilm``). ``openai``, on ``openai_server``: OpenAI-compatible servers (extra
  ``openai``).
- ``open_embedder``: opens the embedder that a live generation names.
- ``text_batches``, ``batch_threads``: how texts are batched, and how batches run in threads.
"""
