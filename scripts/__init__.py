"""Scripts for contributors; they are not installed.

- settings_page: writes docs/settings.md from the settings classes.
"""
