"""All settings, in one table: name, type, default, meaning.

Every row of `Settings` is read from the environment variable `EDGE_<FIELD>` or from
a `.env` file in the working directory; the environment wins. This is the only module
that looks at the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.errors import SetupError

PREFIX = "EDGE_"
DATA_DIR = Path("~/.local/share/edge-vl").expanduser()


def _setting(
    default: Any,
    meaning: str,
    at_least: int | None = None,
    at_most: int | None = None,
    one_of: tuple[str, ...] = (),
) -> Any:
    limits = {"at_least": at_least, "at_most": at_most, "one_of": one_of}
    return field(default=default, metadata={"meaning": meaning, **limits})


@dataclass(frozen=True)
class Settings:
    """What an operator decides. Frozen: a running process never changes its mind."""

    model: str = _setting(
        "auto", "Model name or path of a GGUF file; auto = the real model, else tiny."
    )
    mmproj: str = _setting("", "Path of the vision GGUF that belongs to EDGE_MODEL.")
    slots: int = _setting(4, "Questions computed at once.", at_least=1, at_most=4)
    context_tokens: int = _setting(
        8192, "Tokens that all running questions share.", at_least=256
    )
    chunk_tokens: int = _setting(
        256, "Most prompt tokens computed in one step.", at_least=16
    )
    threads: int = _setting(0, "Compute threads; 0 = the cores we may use.", at_least=0)
    repack: bool = _setting(
        False, "Copy weights into the order that llama.cpp's other kernels want."
    )
    kv: str = _setting(
        "f16",
        "How keys and values of the context are kept: f16, or q8_0 in half the memory.",
        one_of=("f16", "q8_0"),
    )
    runtime: str = _setting(
        "auto",
        "Who computes the language model: openvino, sooner and with more memory, or "
        "llama, which is llama.cpp; auto = openvino where that memory is free.",
        one_of=("auto", "openvino", "llama"),
    )
    image_tokens: int = _setting(
        1024, "Largest picture, in tokens of 32x32 pixels.", at_least=16
    )
    vision: str = _setting(
        "auto",
        "Who reads pictures: OpenVINO in int8 or f32, or mtmd, which is llama.cpp; "
        "auto = int8, or mtmd where OpenVINO cannot.",
        one_of=("auto", "int8", "f32", "mtmd"),
    )
    kept: int = _setting(
        12,
        "Ended answers whose cells are kept for questions that go on.",
        at_least=0,
        at_most=64,
    )
    embeddings_mb: int = _setting(
        128, "Megabytes of pictures already read that are remembered.", at_least=0
    )
    answer_tokens: int = _setting(
        512, "Longest answer when the client names no max_tokens.", at_least=1
    )
    backlog: int = _setting(
        16, "Questions that may wait before new ones are refused.", at_least=0
    )
    client_jobs: int = _setting(
        0,
        "Questions one client may have waiting or running; 0 = half of all places.",
        at_least=0,
    )
    deadline_s: int = _setting(300, "Seconds until a question expires.", at_least=1)
    grace_s: int = _setting(
        30,
        "Seconds that running answers may take to end when asked to stop.",
        at_least=0,
    )
    hang_s: int = _setting(
        30,
        "Seconds without a step after which a worker takes itself for hung.",
        at_least=2,
    )
    answer_cache: bool = _setting(True, "Remember answers to identical questions.")
    answer_ttl_s: int = _setting(3600, "Seconds an answer is remembered.", at_least=1)
    keys_file: str = _setting(
        "",
        "The file of API keys; empty = keys.json in EDGE_DATA_DIR, and where there is "
        "none nobody needs a key.",
    )
    share: str = _setting(
        "tenant",
        "Who may see, by its speed, what others have asked: tenant = nobody but the "
        "same key, page or address; all = everybody, for one household.",
        one_of=("tenant", "all"),
    )
    audit: bool = _setting(
        True, "Log a line for each question: who, when, how much, never what."
    )
    metrics_by_key: bool = _setting(False, "Metrics tell the requests of each key.")
    metrics_from: str = _setting(
        "127.0.0.0/8,::1/128",
        "Networks that may read /metrics without an admin key.",
    )
    broker_url: str = _setting("", "Redis for queue and jobs; edge up starts its own.")
    cache_url: str = _setting("", "Redis for caches; edge up starts its own.")
    redis_password_file: str = _setting(
        "", "File that holds the password of both, where their URLs name none."
    )
    host: str = _setting(
        "127.0.0.1",
        "Address that it is reached at; any but 127.0.0.1 and ::1 needs keys.",
    )
    open: bool = _setting(False, "Let others reach it although there are no keys.")
    trust: str = _setting(
        "",
        "Networks, by commas, of the proxies in front that tell who their clients are.",
    )
    metrics_port: int = _setting(
        0, "Where a worker tells its metrics; 0 = nowhere.", at_least=0, at_most=65535
    )
    metrics_address: str = _setting(
        "127.0.0.1", "The address of that port; 0.0.0.0 = all, in a container."
    )
    hosts: str = _setting(
        "",
        "Names under which clients reach this server, comma separated; addresses, "
        "localhost and this machine's own name need none.",
    )
    cors: str = _setting(
        "",
        "Origins (https://app.example) whose pages may call the API, comma separated.",
    )
    hub_url: str = _setting(
        "https://huggingface.co", "Where models are downloaded from."
    )
    mirror_url: str = _setting(
        "https://hf-mirror.com", "A second place, asked next; empty = none."
    )
    data_dir: Path = _setting(DATA_DIR, "Where models and queue files are kept.")

    # No setting: the names of those that an operator has written down. What this
    # machine was tuned to goes under them, and over the defaults.
    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def keys_path(self) -> Path:
        return Path(self.keys_file) if self.keys_file else self.data_dir / "keys.json"

    @classmethod
    def table(cls) -> list[Field[Any]]:
        """All settings, in the order in which they are documented."""
        return [f for f in fields(cls) if f.metadata]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from a mapping of environment variables.

        Raises SetupError that names key, value and expected type; an unknown `EDGE_`
        name is an error too, because it is most often a typing mistake.
        """
        known = {PREFIX + f.name.upper(): f for f in cls.table()}
        ours = {key: text for key, text in environ.items() if key.startswith(PREFIX)}
        if unknown := sorted(ours.keys() - known.keys()):
            raise SetupError(
                f"{unknown[0]} is not a setting. Known: {', '.join(known)}."
            )
        given = {
            known[key].name: _parse(key, text, known[key]) for key, text in ours.items()
        }
        return cls(**given, given=frozenset(given))

    @classmethod
    def load(cls) -> Settings:
        """Settings of this process: `.env` first, the environment over it.

        HF_ENDPOINT, which names the hub to other programs, does so here too.
        """
        environ = _dotenv(Path(".env")) | os.environ
        if hub := environ.get("HF_ENDPOINT"):
            environ = {f"{PREFIX}HUB_URL": hub} | environ
        return cls.read(environ)._with_password()

    def _with_password(self) -> Settings:
        """These settings with the password of both Redis in their URLs."""
        if not self.redis_password_file:
            return self
        path = Path(self.redis_password_file).expanduser()
        try:
            password = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(
                f"EDGE_REDIS_PASSWORD_FILE: {path} cannot be read: {error}."
            ) from None
        return replace(
            self,
            redis_password_file="",
            broker_url=_url_with(self.broker_url, password),
            cache_url=_url_with(self.cache_url, password),
        )

    def environ(self) -> dict[str, str]:
        """This process's environment with these settings, for a child process: those
        that are written down or differ from their defaults. What is neither, the child
        may find in what this machine was tuned to, as its parent might."""
        ours = {
            PREFIX + f.name.upper(): in_words(value)
            for f in self.table()
            if (value := getattr(self, f.name)) != f.default or f.name in self.given
        }
        others = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        return others | ours


def _url_with(url: str, password: str) -> str:
    """`url` with a password for its user, unless it has one."""
    scheme, separator, rest = url.partition("://")
    user, _, where = rest.rpartition("@")
    if not separator or ":" in user:
        return url
    return f"{scheme}://{user}:{quote(password, safe='')}@{where}"


def live_as(name: str, home: str) -> None:
    """Tells this process and its children who they are, after a change of account."""
    os.environ.update(HOME=home, USER=name, LOGNAME=name)


def _parse(key: str, text: str, spec: Field[Any]) -> Any:
    kind = type(spec.default)
    try:
        value = _PARSERS[kind](text.strip())
    except (ValueError, KeyError):
        raise SetupError(f"{key}={text!r} is not {_KIND_NAMES[kind]}.") from None
    low, high = spec.metadata["at_least"], spec.metadata["at_most"]
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"{low} or more" if high is None else f"from {low} to {high}"
        raise SetupError(f"{key}={text!r} must be {allowed}.")
    if (choices := spec.metadata["one_of"]) and value not in choices:
        raise SetupError(f"{key}={text!r} must be one of {', '.join(choices)}.")
    return value


_SWITCH = dict.fromkeys(("on", "true", "yes", "1"), True) | dict.fromkeys(
    ("off", "false", "no", "0"), False
)
_PARSERS: dict[type, Any] = {
    str: str,
    int: int,
    bool: lambda text: _SWITCH[text.lower()],
    # absolute, because child processes work in other folders
    type(Path()): lambda text: Path(text).expanduser().absolute(),
}
_KIND_NAMES = {
    int: "a whole number",
    bool: "on or off",
    str: "text",
    type(Path()): "a path",
}


def in_words(value: Any) -> str:
    """A setting's value as it is written in the environment."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _dotenv(path: Path) -> dict[str, str]:
    """Lines `KEY=value` of a .env file; blank lines and `#` comments are skipped."""
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin with a mark
    except UnicodeDecodeError:
        raise SetupError(f"{path.absolute()} is not UTF-8 text.") from None
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
