"""Pure decisions: no Dagster, Redis, OpenAI, network or clock inside (a test holds that)."""
