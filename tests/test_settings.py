"""Settings: allowed values, their sources, and the errors for wrong ones."""

from __future__ import annotations

import os
from dataclasses import Field, FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edge.errors import SetupError
from edge.settings import Settings
from edge.settings_text import in_words

NAMES = [field.name for field in Settings.table()]


@pytest.fixture(autouse=True)
def clean_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory without .env, an environment without EDGE_ and HF_ names."""
    for key in [key for key in os.environ if key.startswith(("EDGE_", "HF_"))]:
        monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SetupError) as caught:
        Settings.read(environ)
    return caught.value.message


@pytest.mark.parametrize("field", Settings.table(), ids=lambda field: field.name)
def test_every_setting_has_a_meaning(field: Any) -> None:
    meaning = field.metadata["meaning"]
    assert len(meaning.split()) >= 3
    assert meaning.endswith(".")


@pytest.mark.parametrize("field", Settings.table(), ids=lambda field: field.name)
def test_every_default_is_within_its_own_bounds(field: Any) -> None:
    read = Settings.read({f"EDGE_{field.name.upper()}": in_words(field.default)})
    assert getattr(read, field.name) == field.default


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.read({}) == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().slots = 2


@pytest.mark.parametrize(
    ("key", "text", "name", "value"),
    [
        ("EDGE_MODEL", "tiny", "model", "tiny"),
        ("EDGE_MODEL", "", "model", ""),
        ("EDGE_SLOTS", "2", "slots", 2),
        ("EDGE_SLOTS", " 3\t", "slots", 3),
        ("EDGE_THREADS", "0", "threads", 0),
        ("EDGE_BACKLOG", "0", "backlog", 0),
        ("EDGE_BROKER_URL", "redis://:pw@h:1/0", "broker_url", "redis://:pw@h:1/0"),
        ("EDGE_HUB_URL", "http://hub.lan", "hub_url", "http://hub.lan"),
        ("EDGE_MIRROR_URL", "", "mirror_url", ""),
        ("EDGE_DATA_DIR", "/srv/edge", "data_dir", Path("/srv/edge")),
        ("EDGE_DATA_DIR", "~/edge", "data_dir", Path.home() / "edge"),
    ],
)
def test_a_setting_is_read_as_its_type(
    key: str, text: str, name: str, value: object
) -> None:
    settings = Settings.read({key: text})
    assert getattr(settings, name) == value
    assert settings == replace(Settings(), **{name: value})


@pytest.mark.parametrize("word", ["on", "true", "yes", "1", "ON", "True", " Yes "])
def test_words_that_switch_on(word: str) -> None:
    assert Settings.read({"EDGE_ANSWER_CACHE": word}).answer_cache is True


@pytest.mark.parametrize("word", ["off", "false", "no", "0", "OFF", "False", " No "])
def test_words_that_switch_off(word: str) -> None:
    assert Settings.read({"EDGE_ANSWER_CACHE": word}).answer_cache is False


@pytest.mark.parametrize(
    ("key", "text", "kind"),
    [
        ("EDGE_SLOTS", "four", "a whole number"),
        ("EDGE_SLOTS", "", "a whole number"),
        ("EDGE_SLOTS", "2.0", "a whole number"),
        ("EDGE_SLOTS", "0x2", "a whole number"),
        ("EDGE_SLOTS", "2 # two", "a whole number"),
        ("EDGE_SLOTS", "9" * 5000, "a whole number"),
        ("EDGE_ANSWER_CACHE", "maybe", "on or off"),
        ("EDGE_ANSWER_CACHE", "2", "on or off"),
        ("EDGE_ANSWER_CACHE", "", "on or off"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_key_value_and_type(
    key: str, text: str, kind: str
) -> None:
    assert refusal({key: text}) == f"{key}={text!r} is not {kind}."


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        ("EDGE_SLOTS", "0", "from 1 to 4"),
        ("EDGE_SLOTS", "-1", "from 1 to 4"),
        ("EDGE_SLOTS", "5", "from 1 to 4"),
        ("EDGE_SLOTS", "100", "from 1 to 4"),
        ("EDGE_CONTEXT_TOKENS", "255", "256 or more"),
        ("EDGE_CHUNK_TOKENS", "15", "16 or more"),
        ("EDGE_THREADS", "-1", "0 or more"),
        ("EDGE_IMAGE_TOKENS", "15", "16 or more"),
        ("EDGE_ANSWER_TOKENS", "0", "1 or more"),
        ("EDGE_BACKLOG", "-1", "0 or more"),
        ("EDGE_CLIENT_JOBS", "-1", "0 or more"),
        ("EDGE_GRACE_S", "-1", "0 or more"),
        ("EDGE_HANG_S", "1", "2 or more"),
        ("EDGE_DEADLINE_S", "0", "from 1 to 3500"),
        ("EDGE_ANSWER_TTL_S", "-1", "1 or more"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_the_bounds(
    key: str, text: str, allowed: str
) -> None:
    assert refusal({key: text}) == f"{key}={text!r} must be {allowed}."


def test_a_value_outside_the_choices_is_refused_with_the_choices() -> None:
    message = refusal({"EDGE_VISION": "int4"})
    assert message == "EDGE_VISION='int4' must be one of auto, int8, f16, f32, mtmd."


def test_given_names_the_settings_of_the_operator() -> None:
    """Even a value equal to the default: tuning must not change it."""
    written = Settings.read({"EDGE_REPACK": "off", "EDGE_KV": "q8_0"})
    assert written.given == {"repack", "kv"}
    assert Settings().given == set()


@pytest.mark.parametrize("n_slots", range(1, 5))
def test_one_to_four_slots_are_allowed(n_slots: int) -> None:
    assert Settings.read({"EDGE_SLOTS": str(n_slots)}).slots == n_slots


@pytest.mark.parametrize("key", ["EDGE_SLOT", "EDGE_", "EDGE_slots", "EDGE_SLOTS "])
def test_an_unknown_setting_is_refused(key: str) -> None:
    message = refusal({key: "4"})
    assert message.startswith(f"{key} is not a setting.")
    for name in NAMES:
        assert f"EDGE_{name.upper()}" in message


def test_other_variables_are_ignored() -> None:
    others = {"PATH": "/bin", "edge_slots": "x", "MY_EDGE_SLOTS": "x", "EDGER": "x"}
    assert Settings.read(others) == Settings()


def test_a_dotenv_in_the_working_directory_is_read(clean_folder: Path) -> None:
    (clean_folder / ".env").write_text(
        "# a comment\n"
        "\n"
        "EDGE_SLOTS=2\n"
        "  EDGE_MODEL = '/srv/a b=c.gguf'  \n"
        'EDGE_DATA_DIR="/srv/edge"\n'
        "#EDGE_BACKLOG=99\n"
        "SOMETHING_ELSE=7\n",
        encoding="utf-8",
    )
    assert Settings.load() == replace(
        Settings(), slots=2, model="/srv/a b=c.gguf", data_dir=Path("/srv/edge")
    )


def test_a_dotenv_may_be_one_for_the_shell(clean_folder: Path) -> None:
    (clean_folder / ".env").write_text("export EDGE_SLOTS=2\n")
    assert Settings.load() == replace(Settings(), slots=2)


def test_without_a_dotenv_the_environment_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGE_SLOTS", "3")
    assert Settings.load() == replace(Settings(), slots=3)


def test_the_environment_wins_over_the_dotenv(
    monkeypatch: pytest.MonkeyPatch, clean_folder: Path
) -> None:
    (clean_folder / ".env").write_text("EDGE_SLOTS=2\nEDGE_BACKLOG=7\n")
    monkeypatch.setenv("EDGE_SLOTS", "1")
    settings = Settings.load()
    assert (settings.slots, settings.backlog) == (1, 7)


@pytest.mark.parametrize(
    ("environ", "hub_url"),
    [
        ({}, Settings().hub_url),
        ({"HF_ENDPOINT": "https://hf-mirror.com"}, "https://hf-mirror.com"),
        ({"HF_ENDPOINT": ""}, Settings().hub_url),
        ({"HF_ENDPOINT": "http://a", "EDGE_HUB_URL": "http://b"}, "http://b"),
        ({"HF_ENDPOINT": "http://a", "EDGE_HUB_URL": ""}, ""),
    ],
)
def test_hf_endpoint_sets_the_hub(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], hub_url: str
) -> None:
    for key, text in environ.items():
        monkeypatch.setenv(key, text)
    assert Settings.load() == replace(Settings(), hub_url=hub_url)


def test_edge_hub_url_in_a_dotenv_wins_over_hf_endpoint(
    monkeypatch: pytest.MonkeyPatch, clean_folder: Path
) -> None:
    (clean_folder / ".env").write_text("EDGE_HUB_URL=http://b\n")
    monkeypatch.setenv("HF_ENDPOINT", "http://a")
    assert Settings.load().hub_url == "http://b"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://h:1/0", "redis://:p%40%2Fw@h:1/0"),
        ("redis://edge@h:1/0", "redis://edge:p%40%2Fw@h:1/0"),
        ("rediss://edge@h:1/0?a=b", "rediss://edge:p%40%2Fw@h:1/0?a=b"),
        ("redis://:own@h:1/0", "redis://:own@h:1/0"),
        ("redis://edge:own@h:1/0", "redis://edge:own@h:1/0"),
        ("", ""),
    ],
)
def test_the_password_of_redis_may_come_from_a_file(
    monkeypatch: pytest.MonkeyPatch, clean_folder: Path, url: str, wanted: str
) -> None:
    (clean_folder / "secret").write_text("p@/w\n")
    monkeypatch.setenv("EDGE_REDIS_PASSWORD_FILE", str(clean_folder / "secret"))
    monkeypatch.setenv("EDGE_BROKER_URL", url)
    settings = Settings.load()
    assert settings.broker_url == wanted
    environ = settings.environ()  # a child process needs no file
    assert Settings.read(environ).broker_url == wanted
    assert not environ.get("EDGE_REDIS_PASSWORD_FILE")


def test_a_password_that_cannot_be_read_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, clean_folder: Path
) -> None:
    monkeypatch.setenv("EDGE_REDIS_PASSWORD_FILE", str(clean_folder / "nowhere"))
    with pytest.raises(SetupError, match=r"EDGE_REDIS_PASSWORD_FILE: .*nowhere"):
        Settings.load()


def test_the_keys_file_is_in_the_data_dir_by_default(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).keys_path == tmp_path / "keys.json"
    moved = Settings(data_dir=tmp_path, keys_file=str(tmp_path / "secret"))
    assert moved.keys_path == tmp_path / "secret"


UNKNOWN_HOME = "~nobody-here/x: the home folder of ~nobody-here is not known"


def test_the_home_of_an_unknown_account_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert UNKNOWN_HOME in refusal({"EDGE_DATA_DIR": "~nobody-here/x"})
    with pytest.raises(SetupError, match=UNKNOWN_HOME):
        _ = Settings(keys_file="~nobody-here/x").keys_path
    monkeypatch.setenv("EDGE_REDIS_PASSWORD_FILE", "~nobody-here/x")
    with pytest.raises(SetupError, match=UNKNOWN_HOME):
        Settings.load()


@pytest.mark.parametrize("line", ["EDGE_SLTS=2", "EDGE_SLOTS=two", "EDGE_SLOTS"])
def test_a_mistake_in_the_dotenv_is_refused_too(clean_folder: Path, line: str) -> None:
    (clean_folder / ".env").write_text(line)
    with pytest.raises(SetupError, match=line.split("=")[0]):
        Settings.load()


def test_a_folder_named_dotenv_is_ignored(clean_folder: Path) -> None:
    (clean_folder / ".env").mkdir()
    assert Settings.load() == Settings()


# `read` strips whitespace around a text.
words = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)


def values(field: Field) -> st.SearchStrategy:
    """Possible values of a setting after `read`."""
    if isinstance(field.default, bool):
        return st.booleans()
    if isinstance(field.default, int):
        low, high = field.metadata["at_least"], field.metadata["at_most"]
        return st.integers(low, high or 10**9)
    if isinstance(field.default, Path):
        return words.map(lambda name: Path("/srv") / name)
    choices = field.metadata["one_of"]
    return st.sampled_from(choices) if choices else words


@hypothesis_settings(max_examples=40)
@given(st.builds(Settings, **{field.name: values(field) for field in Settings.table()}))
def test_a_child_process_reads_the_same_settings(settings: Settings) -> None:
    assert Settings.read(settings.environ()) == settings


def test_a_child_process_gets_the_rest_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    monkeypatch.setenv("EDGE_SLOTS", "1")
    environ = replace(Settings(), slots=3, answer_cache=False).environ()
    assert "EDGE_KEPT" not in environ  # has its default
    assert environ["SOMETHING_ELSE"] == "kept"
    assert environ["EDGE_SLOTS"] == "3"
    assert environ["EDGE_ANSWER_CACHE"] == "off"
    assert environ["PATH"] == os.environ["PATH"]


def test_a_relative_path_starts_at_the_working_directory() -> None:
    assert Settings.read({"EDGE_DATA_DIR": "here"}).data_dir == Path.cwd() / "here"
