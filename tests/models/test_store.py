"""The folder of models: killed, concurrent and refused downloads."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.models import store
from edge.models.registry import Entry, RemoteFile
from edge.settings import Settings
from tests.conftest import wait_for
from tests.models.hub import (
    ENTRY,
    MMPROJ,
    MODEL,
    REPOSITORY,
    REVISION,
    Fault,
    Hub,
    gguf,
    remote,
)
from tests.models.small import write_text, write_vision

UNVERIFIED = replace(
    ENTRY,
    model=RemoteFile(REPOSITORY, REVISION, "m.gguf"),
    mmproj=RemoteFile(REPOSITORY, REVISION, "mmproj-m.gguf"),
    unverified=True,
)
OTHER = Entry("other", "MIT", remote("other.gguf", gguf(1000, 7)), ENTRY.mmproj)
SIZES = len(MODEL) + len(MMPROJ)

PULL = """
import sys
from pathlib import Path
from edge.models.store import pull
from tests.models.hub import ENTRY
pull(ENTRY, Path(sys.argv[1]), [sys.argv[2]])
"""


def pulling(folder: Path, hub: Hub) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PULL, str(folder), hub.url]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )


def put(folder: Path, model: bytes = MODEL, mmproj: bytes = MMPROJ) -> None:
    (folder / "m.gguf").write_bytes(model)
    (folder / "mmproj-m.gguf").write_bytes(mmproj)


def offer_pair(hub: Hub, folder: Path) -> int:
    """Offers GGUF files that are whole; returns their bytes."""
    pair = {"m.gguf": write_text(folder), "mmproj-m.gguf": write_vision(folder)}
    hub.files = {name: path.read_bytes() for name, path in pair.items()}
    return sum(map(len, hub.files.values()))


@contextmanager
def room(monkeypatch: pytest.MonkeyPatch, free: int) -> Iterator[None]:
    usage = namedtuple("usage", "total used free")(10**9, 0, free)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        yield


def test_a_pull_downloads_both_files(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "models"
    seen: list[tuple[int, int]] = []
    store.pull(ENTRY, folder, [hub.url], progress=lambda *both: seen.append(both))
    assert (folder / "m.gguf").read_bytes() == MODEL
    assert (folder / "mmproj-m.gguf").read_bytes() == MMPROJ
    assert ENTRY.is_complete(folder)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {total for _, total in seen} == {SIZES}
    assert seen[-1] == (SIZES, SIZES)


def test_a_complete_model_needs_no_request(hub: Hub, tmp_path: Path) -> None:
    put(tmp_path)
    store.pull(ENTRY, tmp_path, [hub.url])
    assert hub.hits == 0


def test_only_missing_or_wrong_files_are_downloaded(hub: Hub, tmp_path: Path) -> None:
    put(tmp_path, model=gguf(len(MODEL), seed=9))
    store.pull(ENTRY, tmp_path, [hub.url])
    assert [name for name, _ in hub.asked] == ["m.gguf"]
    assert store.verify(ENTRY, tmp_path) == {"m.gguf": "ok", "mmproj-m.gguf": "ok"}


def test_a_refusal_leaves_the_other_file(hub: Hub, tmp_path: Path) -> None:
    del hub.files["mmproj-m.gguf"]
    with pytest.raises(SetupError, match=r"mmproj-m\.gguf could not be downloaded"):
        store.pull(ENTRY, tmp_path, [hub.url])
    assert store.verify(ENTRY, tmp_path) == {"m.gguf": "ok", "mmproj-m.gguf": "missing"}
    assert not ENTRY.is_complete(tmp_path)


def test_unverified_files_need_the_option(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"size and hash.*--allow-unverified"):
        store.pull(UNVERIFIED, tmp_path, [hub.url])
    assert hub.hits == 0
    sizes = offer_pair(hub, tmp_path / "made")
    seen: list[tuple[int, int]] = []
    store.pull(
        UNVERIFIED,
        tmp_path,
        [hub.url],
        allow_unverified=True,
        progress=lambda *both: seen.append(both),
    )
    assert seen[-1] == (sizes, sizes)
    assert UNVERIFIED.is_complete(tmp_path)
    assert set(store.verify(UNVERIFIED, tmp_path).values()) == {"unverified"}


def test_an_unverified_file_that_is_not_whole_is_downloaded_again(
    hub: Hub, tmp_path: Path
) -> None:
    offer_pair(hub, tmp_path / "made")
    put(tmp_path, hub.files["m.gguf"][:-1], hub.files["mmproj-m.gguf"])
    states = store.verify(UNVERIFIED, tmp_path)
    assert states == {"m.gguf": "wrong", "mmproj-m.gguf": "unverified"}
    store.pull(UNVERIFIED, tmp_path, [hub.url], allow_unverified=True)
    assert [name for name, _ in hub.asked] == ["m.gguf"]
    assert set(store.verify(UNVERIFIED, tmp_path).values()) == {"unverified"}


# --- killed, and met by another -------------------------------------------------------


def test_after_a_kill_only_the_rest_is_downloaded(hub: Hub, tmp_path: Path) -> None:
    hub.fails(Fault(stall_after=180_000))
    process = pulling(tmp_path, hub)
    part = tmp_path / "m.gguf.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 100_000)
    process.kill()
    process.communicate()
    kept = part.stat().st_size
    assert not (tmp_path / "m.gguf").exists()

    before = hub.body_bytes
    process = pulling(tmp_path, hub)  # the dead process does not block it
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert hub.body_bytes - before == SIZES - kept
    assert ENTRY.is_complete(tmp_path)
    assert set(store.verify(ENTRY, tmp_path).values()) == {"ok"}


def test_two_pulls_at_once_download_once(hub: Hub, tmp_path: Path) -> None:
    hub.delay_s = 0.1
    first = pulling(tmp_path, hub)
    wait_for(lambda: hub.asked)
    second = pulling(tmp_path, hub)
    said = [process.communicate(timeout=120)[1] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert hub.body_bytes == SIZES
    assert set(store.verify(ENTRY, tmp_path).values()) == {"ok"}


def test_a_waiting_pull_reports_it_once(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    with (tmp_path / ".lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def notice(line: str) -> None:
            said.append(line)
            fcntl.flock(other, fcntl.LOCK_UN)

        store.pull(ENTRY, tmp_path, [hub.url], notice=notice)
    assert said == [f"Another process is changing {tmp_path}; waiting for it."]
    assert ENTRY.is_complete(tmp_path)


# --- the disk -------------------------------------------------------------------------


def test_a_full_disk_is_reported_before_the_download(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with room(monkeypatch, SIZES - 1), pytest.raises(SetupError) as refusal:
        store.pull(ENTRY, tmp_path, [hub.url])
    assert "needs 390.0 kB more" in refusal.value.message
    assert "390.0 kB free" in refusal.value.message
    assert "EDGE_DATA_DIR" in refusal.value.message
    assert hub.hits == 0


def test_present_files_need_no_room(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.gguf.part").write_bytes(MODEL[:250_000])
    with room(monkeypatch, SIZES - 250_000):
        store.pull(ENTRY, tmp_path, [hub.url])
    assert ENTRY.is_complete(tmp_path)


def test_an_impossible_folder_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="file/models cannot be used: Not a directory"):
        store.pull(ENTRY, tmp_path / "file" / "models", [hub.url])


# --- what is there --------------------------------------------------------------------


def test_each_file_is_verified_separately(tmp_path: Path) -> None:
    put(tmp_path, mmproj=gguf(len(MMPROJ), seed=9))
    assert store.verify(ENTRY, tmp_path) == {"m.gguf": "ok", "mmproj-m.gguf": "wrong"}
    (tmp_path / "m.gguf").write_bytes(MODEL[:-1])
    (tmp_path / "mmproj-m.gguf").unlink()
    assert store.verify(ENTRY, tmp_path) == {
        "m.gguf": "wrong",
        "mmproj-m.gguf": "missing",
    }


def test_complete_means_present_with_the_right_size(tmp_path: Path) -> None:
    assert not ENTRY.is_complete(tmp_path)
    put(tmp_path, model=bytes(len(MODEL)))
    assert ENTRY.is_complete(tmp_path)  # cheap, without reading the files
    put(tmp_path, model=MODEL[:-1])
    assert not ENTRY.is_complete(tmp_path)
    (tmp_path / "m.gguf").unlink()
    (tmp_path / "m.gguf").mkdir()
    assert not ENTRY.is_complete(tmp_path)


def test_bytes_there_counts_a_part(tmp_path: Path) -> None:
    assert store.bytes_there(ENTRY.model, tmp_path) == 0
    (tmp_path / "m.gguf.part").write_bytes(MODEL[:7])
    assert store.bytes_there(ENTRY.model, tmp_path) == 7
    put(tmp_path)
    assert store.bytes_there(ENTRY.model, tmp_path) == len(MODEL)


def test_remove_deletes_files_and_parts(tmp_path: Path) -> None:
    (tmp_path / "m.gguf.part").write_bytes(bytes(10))
    (tmp_path / "mmproj-m.gguf").write_bytes(bytes(5))
    (tmp_path / "mine.gguf").write_bytes(bytes(3))
    assert store.remove(ENTRY, tmp_path) == 15
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "mine.gguf"]
    assert store.remove(ENTRY, tmp_path) == 0


def test_a_shared_file_stays_while_the_other_model_is_there(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "other.gguf").write_bytes(gguf(1000, 7))
    assert store.remove(ENTRY, tmp_path, (ENTRY, OTHER)) == len(MODEL)
    assert OTHER.is_complete(tmp_path)
    assert store.remove(OTHER, tmp_path, (ENTRY, OTHER)) == 1000 + len(MMPROJ)


def test_a_damaged_model_keeps_the_file_that_it_shares(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "other.gguf").write_bytes(gguf(999, 7))
    assert store.remove(ENTRY, tmp_path, (ENTRY, OTHER)) == len(MODEL)
    assert (tmp_path / "mmproj-m.gguf").exists()


# --- for a start that wants a model ---------------------------------------------------


def test_endpoints_are_ordered_and_unique() -> None:
    both = Settings(hub_url="http://a", mirror_url="http://b")
    assert store.endpoints_of(both) == ("http://a", "http://b")
    assert store.endpoints_of(replace(both, mirror_url="")) == ("http://a",)
    assert store.endpoints_of(replace(both, mirror_url="http://a")) == ("http://a",)
    with pytest.raises(SetupError, match="EDGE_HUB_URL is empty"):
        store.endpoints_of(Settings(hub_url="", mirror_url=""))


def test_obtain_downloads_an_offered_model(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.obtain(ENTRY, Settings(data_dir=tmp_path, hub_url=hub.url, mirror_url=""))
    assert ENTRY.is_complete(tmp_path / "models")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == "m: 100 % of 390.0 kB"


def test_obtain_does_not_wait_for_an_unreachable_hub(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ANSWER_S", 0.2)
    hub.always = Fault(stall_after=0)
    settings = Settings(
        data_dir=tmp_path, hub_url=hub.url, mirror_url="http://x.invalid"
    )
    with pytest.raises(SetupError) as refusal:
        store.obtain(ENTRY, settings)
    said = f"{hub.host} and x.invalid did not offer it within 0.2 s."
    assert refusal.value.message == said
    assert not (tmp_path / "models").exists()
