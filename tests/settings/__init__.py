"""The settings: what the environment may contain, the off-peak window, and the page in docs."""
