"""The settings of a process: read from its environment, handed to its children.

Each field of `edge/settings_table.py` is read from the environment variable
`EDGE_<FIELD>` or from a `.env` file in the working directory; the environment wins. No
other module reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edge.errors import SetupError
from edge.model_names import listed, read_aliases
from edge.settings_table import SettingsTable
from edge.settings_text import (
    expand_home,
    in_words,
    parse,
    read_dotenv,
    read_text,
    with_password,
)

PREFIX = "EDGE_"


@dataclass(frozen=True)
class Settings(SettingsTable):
    """An operator's decisions. Frozen: a running process never changes its settings."""

    # Not a setting: the names of the settings that the operator has set. They win over
    # the tuned values of this machine, which win over the defaults.
    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def keys_path(self) -> Path:
        return (
            expand_home(self.keys_file)
            if self.keys_file
            else self.data_dir / "keys.json"
        )

    @classmethod
    def table(cls) -> list[Field[Any]]:
        """All settings, in the order of the documentation."""
        return [f for f in fields(cls) if f.metadata]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from a mapping of environment variables.

        Raises SetupError, which names key, value and expected type. An unknown `EDGE_`
        name is an error too: most often it is a typing mistake.
        """
        known = {PREFIX + f.name.upper(): f for f in cls.table()}
        texts = {key: text for key, text in environ.items() if key.startswith(PREFIX)}
        if unknown := sorted(texts.keys() - known.keys()):
            raise SetupError(
                f"{unknown[0]} is not a setting. Known: {', '.join(known)}."
            )
        given = {
            known[key].name: parse(key, text, known[key]) for key, text in texts.items()
        }
        return cls(**given, given=frozenset(given))

    @classmethod
    def load(cls) -> Settings:
        """Settings of this process: `.env`, overridden by the environment.

        HF_ENDPOINT, the hub's address for other programs, is honoured too.
        """
        environ = read_dotenv(Path(".env")) | os.environ
        if hub := environ.get("HF_ENDPOINT"):
            environ = {f"{PREFIX}HUB_URL": hub} | environ
        settings = cls.read(environ)
        listed(settings.models)
        read_aliases(settings.aliases)
        return settings._with_password()

    def _with_password(self) -> Settings:
        """These settings with the Redis password in both URLs."""
        if not self.redis_password_file:
            return self
        path = expand_home(self.redis_password_file)
        password = read_text("EDGE_REDIS_PASSWORD_FILE", path).strip()
        return replace(
            self,
            redis_password_file="",
            broker_url=with_password(self.broker_url, password),
            cache_url=with_password(self.cache_url, password),
        )

    def environ(self) -> dict[str, str]:
        """This process's environment with these settings, for a child process.

        Contains the settings that the operator has set or that differ from their
        defaults. For all others the child may use tuned values, as its parent does.
        """
        settings = {
            PREFIX + f.name.upper(): in_words(value)
            for f in self.table()
            if (value := getattr(self, f.name)) != f.default or f.name in self.given
        }
        others = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        return others | settings


def adopt_account(name: str, home: str) -> None:
    """Sets the account's variables for this process and its children."""
    os.environ.update(HOME=home, USER=name, LOGNAME=name)
