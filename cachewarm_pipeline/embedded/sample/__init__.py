"""Synthetic tables of an application: agents that review and plan code, their questions and their answers.

``ensure_sample`` and ``generate_log`` write a folder with the tables ``analyses``, ``findings`` and ``llm_query_logs``;
``ground_truth.Truth`` tells tests which answer is right. Everything is made up from the word lists in this folder, and
every table is a pure function of the random seed.

- ``word_lists.py`` reads the word lists: ``subjects.toml`` (what each agent is asked about), ``phrases.toml`` (how
  questions and answers are worded), ``look_alike_questions.toml`` (similar wording, different answer),
  ``special_questions.toml`` (volatile, personal, foreign, poisoned) and ``question_fragments.toml`` (parts of one-off
  questions and of contents)
- ``answers_*.toml``: answers in free text, six wordings and three near misses of each. ``free_text_answers.py`` reads
  them. The agent ``api_designer`` and the findings answer in JSON
- ``intents.py``: every question with its wordings and answers; ``special_intents.py``: those with special rules.
  ``rewording.py``: noise on questions, rewording of JSON answers. ``intent_catalogue.py``: all intents as arrays
- ``golden_tables.py``: analyses and findings. ``one_off_questions.py``: questions that are asked once
- ``query_log.py``: a day of the log. ``faulty_rows.py``: the faults in one row of a hundred
- ``sample_folder.py``: the files. ``ground_truth.py``: reads the truth beside them
"""

from cachewarm_pipeline.embedded.sample.sample_folder import ensure_sample, generate_log, sample_ready

__all__ = ["ensure_sample", "generate_log", "sample_ready"]
