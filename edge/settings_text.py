"""Settings as text: how a value is written, its bounds, the `.env` file."""

from __future__ import annotations

from dataclasses import Field, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.errors import SetupError

_SWITCH = dict.fromkeys(("on", "true", "yes", "1"), True) | dict.fromkeys(
    ("off", "false", "no", "0"), False
)
_PARSERS: dict[type, Any] = {
    str: str,
    int: int,
    bool: lambda text: _SWITCH[text.lower()],
    # absolute, because child processes work in other folders
    type(Path()): lambda text: expand_home(text).absolute(),
}
_KIND_NAMES = {
    int: "a whole number",
    bool: "on or off",
    str: "text",
    type(Path()): "a path",
}


def setting(
    default: Any,
    meaning: str,
    at_least: int | None = None,
    at_most: int | None = None,
    one_of: tuple[str, ...] = (),
) -> Any:
    """A setting in `edge.settings_table`."""
    limits = {"at_least": at_least, "at_most": at_most, "one_of": one_of}
    return field(default=default, metadata={"meaning": meaning, **limits})


def in_words(value: Any) -> str:
    """A setting's value as text, as in the environment."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def parse(key: str, text: str, spec: Field[Any]) -> Any:
    """The value of the setting `spec`. Raises SetupError for a wrong type or bound."""
    kind = type(spec.default)
    try:
        value = _PARSERS[kind](text.strip())
    except (ValueError, KeyError):
        raise SetupError(f"{key}={text!r} is not {_KIND_NAMES[kind]}.") from None
    low, high = spec.metadata["at_least"], spec.metadata["at_most"]
    choices = spec.metadata["one_of"]
    is_too_low = low is not None and value < low
    is_too_high = high is not None and value > high
    if is_too_low or is_too_high or (choices and value not in choices):
        raise SetupError(f"{key}={text!r} must be {allowed(spec)}.")
    return value


def allowed(spec: Field[Any]) -> str:
    """Bounds or choices of a setting in words; empty if all values are allowed."""
    if choices := spec.metadata["one_of"]:
        return f"one of {', '.join(choices)}"
    low, high = spec.metadata["at_least"], spec.metadata["at_most"]
    if low is None:
        return ""
    return f"{low} or more" if high is None else f"from {low} to {high}"


def expand_home(path: str | Path) -> Path:
    """`path` with its home folder instead of `~`. Raises SetupError for an unknown
    account."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SetupError(
            f"{path}: the home folder of {Path(path).parts[0]} is not known. Write the "
            "path without ~."
        ) from None


def read_dotenv(path: Path) -> dict[str, str]:
    """Lines `KEY=value` or `export KEY=value` of a .env file; blank lines and `#`
    comments are skipped."""
    if not path.is_file():
        return {}
    try:
        # some editors write a byte order mark
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SetupError(
            f"{path.absolute()} is not UTF-8 text. Save it as UTF-8."
        ) from None
    lines = (line.strip().removeprefix("export ") for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def with_password(url: str, password: str) -> str:
    """`url` with a password for its user, unless it already has one."""
    scheme, separator, rest = url.partition("://")
    user, _, where = rest.rpartition("@")
    if not separator or ":" in user:
        return url
    return f"{scheme}://{user}:{quote(password, safe='')}@{where}"


def read_text(setting: str, path: Path) -> str:
    """The file that `setting` names. Raises SetupError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(
            f"{setting}: {path} cannot be read: {error}. Name a text file that this "
            "account can read."
        ) from None
