"""Starts runs and reports failed ones: jobs, schedules, sensors, alerts, and where Dagster stores its state.

In: settings, the live cache in Redis, stored datasets, and the runs of the Dagster instance. Out: run requests with
tags that say who started a run and why, skip reasons with the number that stopped a run, and alerts.

jobs.py                 what can be run          schedules.py            daily, weekly and monthly runs
catch_up.py             when to retry (pure)     catch_up_sensor.py      missed days and failed runs
hit_rate_alarm.py       when to warm (pure)      hit_rate_sensor.py      warms again when the hit rate stays low
off_peak_sensor.py      progressive loading      wrong_hit_sensor.py     withdraws answers that are reported as wrong
run_state.py            what sensors read from Dagster: unfinished and finished runs, why a run failed
alerts.py               logs failed runs and posts them to a webhook
tags.py                 the tags of our runs
storage.py              Dagster's storage by environment; named in dagster.yaml
"""
