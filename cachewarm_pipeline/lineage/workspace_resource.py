"""The only Dagster resource: a workspace built from the environment's settings.

It has no Dagster configuration on purpose: settings come from the environment, so no secret can appear in the UI.
"""

import dagster as dg

from cachewarm_pipeline.workspace.workspace import Workspace


class WorkspaceResource(dg.ConfigurableResource[Workspace]):
    """Gives each step a ``Workspace`` built from the environment's settings."""

    def create_resource(self, context: dg.InitResourceContext) -> Workspace:
        return Workspace()
