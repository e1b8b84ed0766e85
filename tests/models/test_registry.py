"""Names and paths of models, and what a start does without the files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.models import download, registry, store
from edge.models.registry import (
    DEFAULT,
    Entry,
    ModelFiles,
    RemoteFile,
    entries,
    find_model,
)
from edge.settings import Settings
from tests.models.hub import ENTRY, MMPROJ, MODEL, Fault, Hub

ENTRIES = entries()


@pytest.fixture(autouse=True)
def bundled(tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Path:
    """A folder instead of the package's own."""
    folder = tmp_path_factory.mktemp("bundled")
    for name in ("tiny.gguf", "mmproj-tiny.gguf"):
        (folder / name).touch()
    monkeypatch.setattr(registry, "TINY_FOLDER", folder)
    return folder


@pytest.fixture
def small_default(monkeypatch: pytest.MonkeyPatch) -> Iterator[Entry]:
    """A model of a few kilobytes instead of the real one."""
    monkeypatch.setitem(entries(), DEFAULT, ENTRY)
    yield ENTRY


def refusal(settings: Settings) -> str:
    with pytest.raises(SetupError) as caught:
        find_model(settings)
    return caught.value.message


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_each_entry_is_complete(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", entry.name)
    assert entry.licence == "Apache-2.0"
    assert "mmproj" in entry.mmproj.name
    kind = {"chat": "Instruct", "rerank": "Reranker", "embeddings": "Embedding"}
    for file in entry.files:
        assert kind[entry.trained_for] in file.repository
        assert kind[entry.trained_for] in file.name
        assert file.name.endswith(".gguf")
        if entry.unverified:
            assert (file.size, file.sha256) == (None, None)
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", file.revision)
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "")
            assert isinstance(file.size, int)
            assert 100e6 < file.size < 10e9


def test_file_names_are_unique() -> None:
    known: dict[str, RemoteFile] = {}
    for entry in ENTRIES.values():
        for file in entry.files:
            assert known.setdefault(file.name, file) == file


def test_the_default_is_pinned() -> None:
    assert not ENTRIES[DEFAULT].unverified


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x.gguf", "a/b.gguf", "/etc/x", "x.gguf/", ".lock"]
)
def test_a_name_with_a_path_is_refused(name: str) -> None:
    with pytest.raises(SetupError, match="plain file name"):
        RemoteFile("r", "main", name)


def test_tiny_is_bundled(bundled: Path, tmp_path: Path) -> None:
    files = find_model(Settings(model="tiny", data_dir=tmp_path))
    assert files == ModelFiles(
        "tiny", bundled / "tiny.gguf", bundled / "mmproj-tiny.gguf"
    )
    assert not list(tmp_path.iterdir())


def test_a_missing_tiny_is_reported(bundled: Path, tmp_path: Path) -> None:
    (bundled / "tiny.gguf").unlink()
    assert "tiny.gguf, which is not there" in refusal(
        Settings(model="tiny", data_dir=tmp_path)
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_a_missing_published_model_says_how_to_pull_it(
    name: str, tmp_path: Path
) -> None:
    said = refusal(Settings(model=name, data_dir=tmp_path))
    assert f"edge models pull {name}" in said
    assert str(tmp_path / "models") in said


def test_a_published_model_is_found_whole(small_default, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    settings = Settings(model=DEFAULT, data_dir=tmp_path)
    (folder / "m.gguf").write_bytes(MODEL)
    (folder / "mmproj-m.gguf").write_bytes(MMPROJ[:-1])
    assert "not whole" in refusal(settings)
    (folder / "mmproj-m.gguf").write_bytes(MMPROJ)
    assert find_model(settings) == ModelFiles(
        "m", folder / "m.gguf", folder / "mmproj-m.gguf"
    )


def test_the_newest_synthetic_files_are_found(tmp_path: Path) -> None:
    settings = Settings(model="synthetic-2b", data_dir=tmp_path)
    assert "edge models make synthetic-2b" in refusal(settings)
    folder = tmp_path / "models"
    folder.mkdir()
    for age, quant in enumerate(["F16", "Q4_K_M", "Q8_0"]):
        for name in (f"synthetic-2b-{quant}.gguf", f"mmproj-synthetic-2b-{quant}.gguf"):
            (folder / name).touch()
            os.utime(folder / name, (1e9 - age, 1e9 - age))
    assert find_model(settings) == ModelFiles(
        "synthetic-2b",
        folder / "synthetic-2b-F16.gguf",
        folder / "mmproj-synthetic-2b-F16.gguf",
    )


def test_a_path_needs_its_vision_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    said = refusal(Settings(model=str(path), data_dir=tmp_path))
    assert said.startswith(f"There is no file {path}.")
    path.touch()
    said = refusal(Settings(model=str(path), data_dir=tmp_path))
    assert "--mmproj" in said
    assert "qwen3-vl-2b" in said


def test_a_path_of_an_unknown_account_is_one_sentence(tmp_path: Path) -> None:
    settings = Settings(model="~nobody-here/a.gguf", data_dir=tmp_path)
    assert "home folder of ~nobody-here is not known" in refusal(settings)


def test_a_path_is_served_unchanged(tmp_path: Path) -> None:
    a, b = tmp_path / "a.gguf", tmp_path / "b.gguf"
    settings = Settings(model=str(a), mmproj=str(b), data_dir=tmp_path)
    a.touch()
    assert f"needs {b}, which is not there" in refusal(settings)
    b.touch()
    assert find_model(settings) == ModelFiles("a", a, b)


def test_a_fingerprint_follows_the_contents_of_both_files(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    a.write_bytes(b"a")
    b.write_bytes(b"b")
    c.write_bytes(b"a")
    same = ModelFiles("x", a, b).fingerprint
    assert ModelFiles("y", c, b).fingerprint == same
    assert ModelFiles("x", b, a).fingerprint != same
    a.unlink()
    with pytest.raises(SetupError, match="cannot be read"):
        print(ModelFiles("x", a, b).fingerprint)


@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_pinned_file_is_refused(
    small_default, tmp_path: Path, which: int
) -> None:
    """Of the same size, so that only its hash tells."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.gguf").write_bytes(MODEL)
    (folder / "mmproj-m.gguf").write_bytes(MMPROJ)
    settings = Settings(model=DEFAULT, data_dir=tmp_path)
    assert find_model(settings).fingerprint
    path = (folder / "m.gguf", folder / "mmproj-m.gguf")[which]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SetupError) as refusal:
        print(find_model(settings).fingerprint)
    assert str(path) in refusal.value.message
    assert "edge models verify m" in refusal.value.message
    assert "edge models pull m" in refusal.value.message


# --- auto -----------------------------------------------------------------------------


def auto(folder: Path, *hubs: Hub) -> Settings:
    urls = [hub.url for hub in hubs]
    hub_url, mirror_url = [*urls, "", ""][:2]
    return Settings(data_dir=folder, hub_url=hub_url, mirror_url=mirror_url)


def test_auto_uses_a_present_model_without_a_request(
    small_default, hub: Hub, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.gguf").write_bytes(MODEL)
    (folder / "mmproj-m.gguf").write_bytes(MMPROJ)
    assert find_model(auto(tmp_path, hub), store.obtain).model == folder / "m.gguf"
    assert hub.hits == 0


def test_auto_downloads_a_missing_model(
    small_default, hub: Hub, tmp_path: Path
) -> None:
    files = find_model(auto(tmp_path, hub), store.obtain)
    assert files.model.read_bytes() == MODEL
    assert files.mmproj.read_bytes() == MMPROJ


def test_auto_downloads_only_with_obtain(
    small_default, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_model(auto(tmp_path, hub)).name == "tiny"
    assert hub.hits == 0
    assert "nothing is downloaded here" in caplog.text


def test_auto_without_a_hub_serves_tiny_with_a_banner(
    small_default, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.always = Fault(status=404)
    assert find_model(auto(tmp_path, hub), store.obtain).name == "tiny"
    [record] = caplog.records
    assert record.levelname == "WARNING"
    banner = record.getMessage()
    for words in (
        "Serving `tiny`",
        "simple shapes",
        f"not in {tmp_path / 'models'}",
        f"{hub.host} did not offer it",
        "edge models pull qwen3-vl-2b",
        "EDGE_MODEL and EDGE_MMPROJ",
    ):
        assert words in banner
    assert {len(line) for line in banner.splitlines() if line.endswith("*")} == {72}


def test_auto_resumes_a_failed_download_next_time(
    small_default,
    hub: Hub,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "WAITS_S", (0.0, 0.0))
    probe = Fault()
    hub.fails(probe, Fault(cut_after=100_000), Fault(status=404))
    assert find_model(auto(tmp_path, hub), store.obtain).name == "tiny"
    assert "answered 404" in caplog.text
    assert (tmp_path / "models" / "m.gguf.part").read_bytes() == MODEL[:100_000]

    assert find_model(auto(tmp_path, hub), store.obtain).name == "m"
    assert ("m.gguf", "bytes=100000-") in hub.asked
