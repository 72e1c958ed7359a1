"""Paid models: embedding, judging and writing within the budgets of a run.

In: texts to embed and questions to ask. Out: vectors, answers, and what they cost.

- ``embedders``: opens the embedder that the settings choose; ``openai_embedder``: the paid one, within the run's
  budget.
- ``embed_new_texts``: embeds the texts that have no stored vector.
- ``chat_model``: a chat model that answers with JSON of a strict schema; ``chat_completion``: reads its raw answer.
- ``paid_server``: an OpenAI-compatible server behind a rate limit (``rate_limiter``) that counts every attempt that may
  be billed (``unanswered_request_retries``).
- ``budgets``: the budgets of a run, for all models and for each, and asking within them.
- ``usage_prices`` and ``usage_ledger``: prices, and the stored record of what was used.

What is asked of a chat model is not here: see ``answers.judges`` and ``candidates.variant_writers``.
"""
