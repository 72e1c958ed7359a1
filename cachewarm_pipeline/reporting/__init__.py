"""Reports of what warming did: one JSON object, its sentences and its page, all from stored tables.

In: rows of the tables that runs stored. Out: the JSON of `cachewarm report` and `cachewarm warm`, and one HTML page.

- `stored_rows`, `run_report_inputs`: what the report is made from: rows of stored tables, and settings.
- `run_report_sections`: the sections of the report's JSON, as types.
- `run_report`: builds the report (RunReport) of a day.
- `run_report_text`: its sentences, the next steps, and the figures at the top of the page.
- `run_report_page`: the page of `cachewarm report --html`.
- `templates/`: the page, and the sentences as text; `report_templates` renders them and formats figures.
- `warm_report`: the JSON of `cachewarm warm`, from what the assets of that run recorded.
"""
