"""The file of keys: hashes only, for its owner only, read again when it changes."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from edge import keys
from edge.errors import SetupError
from edge.keys import Keys, create_key, needs_keys, read_keys, revoke_key
from edge.limits import NO_LIMITS, Limits
from edge.settings import Settings


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_S", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.json"


def altered(key: str) -> str:
    return key[:-1] + ("B" if key.endswith("A") else "A")


def test_a_key_is_found_by_itself_and_by_nothing_else(path: Path) -> None:
    key = create_key(path, "alice", Limits.read("jobs=2"))
    other = create_key(path, "bob", NO_LIMITS)
    known = Keys(path)
    found = known.find(key)
    assert found is not None
    assert (found.name, found.limits.jobs, found.is_admin) == ("alice", 2, False)
    id_ = found.id
    secret = key.rpartition("_")[2]
    for wrong in (
        "",
        "edge",
        id_,
        f"edge_{id_}_",
        key[:-1],
        f"{key}A",
        key.upper(),
        *(
            f"edge_{id_}_{other[-43:]}",
            f"edge_{'0' * 12}_{secret}",
            f" {key}",
            f"{key}\n",
        ),
        found.hash,
    ):
        assert known.find(wrong) is None


def test_the_file_holds_no_key_and_is_for_its_owner_only(path: Path) -> None:
    key = create_key(path, "alice", NO_LIMITS)
    text = path.read_text()
    assert key not in text and key[-43:] not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    create_key(path, "bob", NO_LIMITS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "keys.json",
        "keys.json.lock",
    ]


def test_keys_are_random(path: Path) -> None:
    made = {create_key(path, f"k{n}", NO_LIMITS) for n in range(20)}
    assert len({key[-43:] for key in made}) == 20


def test_a_revoked_key_is_not_found_and_its_name_is_free(path: Path) -> None:
    known = Keys(path)
    key = create_key(path, "alice", NO_LIMITS)
    with pytest.raises(SetupError, match="revoke alice"):
        create_key(path, "alice", NO_LIMITS)
    assert known.find(key)
    revoke_key(path, "alice")
    assert known.find(key) is None
    assert known.find(create_key(path, "alice", NO_LIMITS))
    with pytest.raises(SetupError, match="no valid key"):
        revoke_key(path, "carol")


def test_keys_created_at_once_are_all_kept(path: Path) -> None:
    def make(n: int) -> None:
        for m in range(5):
            create_key(path, f"{n}-{m}", NO_LIMITS)

    threads = [threading.Thread(target=make, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_keys(path)) == 20


# --- a running server ---------------------------------------------------------------


def test_keys_are_needed_once_there_is_a_file(path: Path) -> None:
    known = Keys(path)
    assert not known.look()
    key = create_key(path, "alice", NO_LIMITS)
    assert known.look()
    assert known.find(key)


def test_a_configured_empty_file_needs_keys(
    path: Path,
) -> None:
    assert Keys(path, are_needed=True).look()


def test_the_door_stays_closed_when_the_last_key_is_revoked(path: Path) -> None:
    create_key(path, "alice", NO_LIMITS)
    revoke_key(path, "alice")
    assert Keys(path).look()


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "no keys", "unreadable"])
def test_a_file_that_is_lost_opens_nothing(path: Path, damage: str) -> None:
    key = create_key(path, "alice", NO_LIMITS)
    known = Keys(path)
    text = path.read_text()
    if damage == "gone":
        path.unlink()
    elif damage == "unreadable":
        path.unlink()
        path.mkdir()
    else:
        wrong = {"empty": "", "cut": text[:-20], "no keys": '{"keys": []}'}[damage]
        path.write_text(wrong)
    assert known.look()
    assert known.find(key)  # what was known still counts
    assert known.find(altered(key)) is None


def test_a_restart_without_the_file_opens_nothing(path: Path) -> None:
    with pytest.raises(SetupError, match="no keys"):
        revoke_key(path, "alice")
    assert not Keys(path).look()
    create_key(path, "alice", NO_LIMITS)
    path.unlink()
    assert Keys(path).look()


def test_a_damaged_file_ends_a_start(path: Path) -> None:
    path.parent.mkdir()
    wrong = ['{"keys": [{"id": 1}]}', '{"keys": [{"limits": 5}]}', '{"keys": [5]}']
    for text in ("", "[]", "{}", '{"keys": 5}', "\xff", *wrong):
        path.write_text(text)
        with pytest.raises(SetupError, match="cannot be read"):
            Keys(path)


def test_an_unknown_limit_is_an_error(path: Path) -> None:
    create_key(path, "alice", NO_LIMITS)
    stored = json.loads(path.read_text())
    stored["keys"][0]["limits"] = "apples=5"
    path.write_text(json.dumps(stored))
    with pytest.raises(SetupError, match="apples"):
        Keys(path)


@pytest.mark.parametrize("name", ["", "a b", "-a", "é", "a" * 65, "a\n", "../a"])
def test_a_name_is_a_plain_word(path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="cannot be a key's name"):
        create_key(path, name, NO_LIMITS)


def test_the_folder_of_the_keys_may_be_reached_by_a_link(tmp_path: Path) -> None:
    """As in the image of the ui: the lock lies beside the file itself."""
    there = tmp_path / "keys" / "keys.json"
    link = tmp_path / "keys.json"
    link.symlink_to("keys/keys.json")
    create_key(link, "alice", NO_LIMITS)
    assert link.is_symlink()
    there.unlink()
    assert needs_keys(link)
    assert Keys(link).are_needed


def test_a_home_folder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/edge")
    assert Settings(keys_file="~/keys.json").keys_path == Path("/srv/edge/keys.json")
