"""`python -m cachewarm_pipeline.cli`: the command without its console script."""

from cachewarm_pipeline.cli import main

main()
