"""Writers of synthetic variants, behind the ``Llm`` port.

In: base queries. Out: variants of each, or an answer to each, or None where there is none yet.

- ``open_writer``: opens the writer that the settings choose.
- ``recorded_writer``: reads completions recorded for the sample, so that the default needs no API key.
- ``openai_writer``: asks a chat model, within the budget of the run.
- ``openai_batches``: the same through the Batch API, at half the price; ``batch_record_store``: the record of each
batch. - ``writer_question``: the questions, their schemas, and how replies are read.
- ``written_text_store``: the store of what a model wrote, so that nothing is paid for twice.
"""
