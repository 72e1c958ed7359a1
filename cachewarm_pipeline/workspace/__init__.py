"""What a run has open: the source, the datasets, the models and Redis, each opened from the settings on first use.

In: the settings. Out: the ports (ports.py, publishing/cache_ports.py) that the services of the stages use. Assets,
jobs, sensors and commands receive a workspace; the services know only the ports.

workspace.py        Workspace: the ports of a real run
dry_run.py          DryWorkspace: the ports of `cachewarm warm --dry-run`, and what a real run would cost
dry_run_ports.py    the ports that read what is stored and count what they would have asked a paid server
"""
