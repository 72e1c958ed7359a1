"""Writes docs/settings.md from the settings classes: ``uv run python -m scripts.settings_page``.

The page has one table for each class, in the order of the fields of ``Settings``. It depends on the classes only; the
environment is not read. tests/settings/test_settings_page.py fails when the page is out of date.
"""

import inspect
import re
from itertools import groupby
from pathlib import Path

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from cachewarm_pipeline.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

COMMAND = "uv run python -m scripts.settings_page"

_INTRODUCTION = f"""\
# Settings

<!-- Made by `{COMMAND}`: change the descriptions in cachewarm_pipeline/settings, not this page. -->

Every setting is an environment variable. The options of `cachewarm warm` override the environment. A variable that
starts with `CACHEWARM_` and is not in these tables is an error, which names the setting that you probably meant. An
empty variable means the default. An empty default means that the setting is unset.

Each default is the safe choice. The description gives the reason for the number.
"""


def page() -> str:
    """The text of the whole page."""
    fields = Settings.model_fields.items()
    sections = [
        _section(owner, [_row(name, field) for name, field in group])
        for owner, group in groupby(fields, key=lambda item: owner_of(item[0]))
    ]
    return "\n".join([_INTRODUCTION, *sections])


def owner_of(name: str) -> type:
    """The class that defines a setting: the nearest one to ``Settings`` that annotates it."""
    return next(one for one in Settings.__mro__ if name in inspect.get_annotations(one))


def variable_of(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting."""
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"CACHEWARM_{name.upper()}"


def _section(owner: type, rows: list[str]) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", owner.__name__.removesuffix("Settings")).capitalize() or "Other"
    about = " ".join((owner.__doc__ or "").split("\n\n")[0].split())
    head = ["| variable | default | what it is for |", "| --- | --- | --- |"]
    return "\n".join([f"## {words}", "", about, "", *head, *rows, ""])


def _row(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    shown = "" if default is None else f"`{default}`"
    return f"| `{variable_of(name, field)}` | {shown} | {(field.description or '').replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
