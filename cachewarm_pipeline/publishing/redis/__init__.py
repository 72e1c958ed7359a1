"""A cache's generations in Redis: loaded beside the live one, verified, switched to in one step, and rolled back.

In: a warming plan with its vectors and match rules. Out: a live generation that readers open through the alias.

cache_store.py          CacheStore: the facade for other packages
connect.py              opens Redis, with faults as messages of one line
generation_records.py   which generations exist, which is live, filling or pinned, and which may be removed
generation_lifecycle.py the steps: begin, load, verify, switch, prune
load_entries.py         writes entries fast            entry_ttls.py         sets and renews their TTLs
verify_generation.py    checks before a generation is served
publish_request.py      options, request and result    publish_checks.py     must it, and may it, be published?
publish.py              publishes a plan as a whole    progressive_loading.py  ... or some entries at a time
publish_lock.py         one publishing run at a time (LEASE_SECONDS)
rollback_pin.py         rollback, pin and release
withdrawals.py          takes bad answers out of service, in every generation
wrong_hit_reports.py    reads, counts and clears the reports of wrong hits
"""
