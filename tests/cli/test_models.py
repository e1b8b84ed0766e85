"""`edge models` at a terminal, with a hub on loopback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge import progress
from edge.cli import models as cli_models
from edge.cli.app import app
from edge.errors import SetupError
from edge.gguf.vocabulary import Vocabulary
from edge.models import download, registry
from edge.models.registry import RemoteFile, entries
from tests.models.hub import (
    ENTRY,
    MMPROJ,
    MODEL,
    REPOSITORY,
    REVISION,
    Fault,
    Hub,
    gguf,
    running,
)
from tests.models.small import write_text, write_vision

Edge = Callable[..., Result]
UNVERIFIED = replace(
    ENTRY,
    name="unseen",
    model=RemoteFile(REPOSITORY, REVISION, "u.gguf"),
    mmproj=RemoteFile(REPOSITORY, REVISION, "mmproj-u.gguf"),
    unverified=True,
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running() as one:
        one.files["u.gguf"] = write_text(tmp_path).read_bytes()
        one.files["mmproj-u.gguf"] = write_vision(tmp_path).read_bytes()
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def edge(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """Runs `edge models ...` with two small models, `m` and `unseen`."""
    monkeypatch.setattr(download, "WAITS_S", (0.0, 0.0))
    monkeypatch.setattr(registry, "TINY_FOLDER", folder.parent / "bundled")
    monkeypatch.setitem(entries(), "m", ENTRY)
    monkeypatch.setitem(entries(), "unseen", UNVERIFIED)
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("http_proxy", raising=False)
    environ = {
        "EDGE_DATA_DIR": str(folder.parent),
        "EDGE_HUB_URL": hub.url,
        "EDGE_MIRROR_URL": "",
    }
    return lambda *words: CliRunner().invoke(app, ["models", *words], env=environ)


def put(folder: Path, model: bytes = MODEL, mmproj: bytes = MMPROJ) -> None:
    (folder / "m.gguf").write_bytes(model)
    (folder / "mmproj-m.gguf").write_bytes(mmproj)


def refusal(result: Result) -> str:
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("edge: ")
    return result.stderr


def row(result: Result, name: str) -> list[str]:
    assert result.exit_code == 0
    [line] = [line for line in result.stdout.splitlines() if line.split()[0] == name]
    return re.split(r"\s{2,}", line.strip())


def test_pull_downloads_a_model_and_shows_progress(edge: Edge, folder: Path) -> None:
    result = edge("pull", "m")
    assert result.exit_code == 0
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[-2:] == ["m: 100 % of 390.0 kB", f"m is in {folder}."]
    tenths = [int(line.split()[1]) for line in lines[:-1]]
    assert tenths == sorted(set(tenths))
    assert ENTRY.is_complete(folder)


def test_a_second_pull_downloads_nothing(edge: Edge, hub: Hub, folder: Path) -> None:
    edge("pull", "m")
    asked = hub.hits
    assert edge("pull", "m").stderr == f"m is in {folder}.\n"
    assert hub.hits == asked


def test_a_pull_that_fails_is_one_sentence(edge: Edge, hub: Hub) -> None:
    hub.always = Fault(status=404)
    assert f"{hub.host} answered 404" in refusal(edge("pull", "m"))


def test_unverified_files_need_the_option(edge: Edge, hub: Hub) -> None:
    assert "--allow-unverified" in refusal(edge("pull", "unseen"))
    assert hub.hits == 0
    assert edge("pull", "unseen", "--allow-unverified").exit_code == 0
    assert "unverified" in edge("verify", "unseen").stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qwen", "There is no model 'qwen'. Known: tiny, qwen3-vl-2b, "),
        ("tiny", "tiny is part of this program"),
        ("synthetic-2b", "`edge models make synthetic-2b`"),
        ("../m", "There is no model '../m'"),
    ],
)
def test_names_that_cannot_be_pulled(edge: Edge, name: str, said: str) -> None:
    assert said in refusal(edge("pull", name))
    assert said in refusal(edge("verify", name))


def test_list_shows_every_name_and_its_state(edge: Edge, folder: Path) -> None:
    fresh = edge("list")
    assert row(fresh, "tiny") == ["tiny", "?", "bundled", "Apache-2.0"]
    assert row(fresh, "m") == ["m", "390.0 kB", "not here", "MIT"]
    assert row(fresh, "unseen") == ["unseen", "?", "not here", "MIT"]
    assert row(fresh, "qwen3-vl-2b") == [
        "qwen3-vl-2b",
        "1.6 GB",
        "not here",
        "Apache-2.0",
    ]
    assert row(fresh, "synthetic-2b")[2] == "not here"

    (folder / "m.gguf.part").write_bytes(MODEL[:40_000])
    assert row(edge("list"), "m")[2] == "partial 10 %"
    (folder / "mmproj-m.gguf").write_bytes(MMPROJ)
    assert row(edge("list"), "m")[2] == "partial 33 %"
    (folder / "u.gguf.part").write_bytes(MODEL[:40_000])
    assert row(edge("list"), "unseen")[2] == "partial"

    put(folder)
    (folder / "synthetic-2b-F16.gguf").write_bytes(bytes(1000))
    (folder / "mmproj-synthetic-2b-F16.gguf").write_bytes(bytes(500))
    present = edge("list")
    assert row(present, "m")[2] == "present"
    assert row(present, "synthetic-2b")[1:3] == ["1.5 kB", "present"]


def test_list_shows_the_size_of_the_bundled_model(edge: Edge, folder: Path) -> None:
    bundled = folder.parent / "bundled"
    bundled.mkdir()
    (bundled / "tiny.gguf").write_bytes(bytes(2000))
    (bundled / "mmproj-tiny.gguf").write_bytes(bytes(1000))
    assert row(edge("list"), "tiny")[1] == "3.0 kB"
    assert edge("path", "tiny").stdout.splitlines() == [
        str(bundled / "tiny.gguf"),
        str(bundled / "mmproj-tiny.gguf"),
    ]


def test_path_is_for_programs(edge: Edge, folder: Path) -> None:
    assert "edge models pull m" in refusal(edge("path", "m"))
    put(folder)
    result = edge("path", "m")
    assert result.stdout == f"{folder / 'm.gguf'}\n{folder / 'mmproj-m.gguf'}\n"
    assert result.stderr == ""
    assert "There is no model 'auto'" in refusal(edge("path", "auto"))


def test_verify_reports_each_file(edge: Edge, folder: Path) -> None:
    put(folder)
    result = edge("verify", "m")
    assert result.exit_code == 0
    assert result.stdout.split() == [
        "ok",
        str(folder / "m.gguf"),
        "ok",
        str(folder / "mmproj-m.gguf"),
    ]
    put(folder, mmproj=gguf(len(MMPROJ), seed=9))
    assert "`edge models pull m`" in refusal(edge("verify", "m"))
    assert re.search(r"^wrong +\S+mmproj-m\.gguf$", edge("verify").stdout, re.M)
    assert edge("pull", "m").exit_code == 0
    assert edge("verify", "m").exit_code == 0


def test_verify_without_a_name_checks_all_present(edge: Edge) -> None:
    result = edge("verify")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_file_of_a_wrong_size_is_damage(edge: Edge, folder: Path) -> None:
    put(folder, model=MODEL[:-1])
    assert row(edge("list"), "m")[2] == "damaged"
    assert "Files of m are missing or wrong." in refusal(edge("verify"))
    assert edge("pull", "m").exit_code == 0
    assert row(edge("list"), "m")[2] == "present"


def test_rm_reports_the_bytes_freed(edge: Edge, folder: Path) -> None:
    put(folder)
    assert edge("rm", "m").stderr == "390.0 kB freed.\n"
    assert edge("rm", "m").stderr == "0 bytes freed.\n"
    assert "part of this program" in refusal(edge("rm", "tiny"))


def test_rm_deletes_compiled_files_too(edge: Edge, folder: Path) -> None:
    (folder / "synthetic-2b-Q4_0.gguf").write_bytes(bytes(1000))
    (folder / "compiled").mkdir()
    for name in ("synthetic-2b-Q4_0-language-int8-1f.blob", "other-int8-1f.blob"):
        (folder / "compiled" / name).write_bytes(bytes(1000))
    assert edge("rm", "synthetic-2b").stderr == "2.0 kB freed.\n"
    assert [p.name for p in (folder / "compiled").iterdir()] == ["other-int8-1f.blob"]


def test_rm_deletes_all_synthetic_files(edge: Edge, folder: Path) -> None:
    for kind in ("F16", "Q8_0"):
        (folder / f"synthetic-2b-{kind}.gguf").write_bytes(bytes(1000))
        (folder / f"mmproj-synthetic-2b-{kind}.gguf").write_bytes(bytes(1000))
    put(folder)
    assert edge("rm", "synthetic-2b").stderr == "4.0 kB freed.\n"
    assert ENTRY.is_complete(folder)


def test_make_writes_the_synthetic_model(
    edge: Edge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(
        to: Path,
        *,
        quant: str,
        mmproj: str,
        words: Vocabulary | None,
        progress: progress.Progress,
    ) -> tuple[Path, Path]:
        if quant == "Q9":
            raise SetupError("There is no type Q9.")
        progress(7, 10)
        return to / (words.plain[0] if words else quant), to / mmproj

    monkeypatch.setattr(cli_models, "write_synthetic", write)
    result = edge("make", "synthetic-2b", "--quant", "F16")
    assert result.stdout == f"{folder / 'F16'}\n{folder / 'Q8_0'}\n"
    assert result.stderr == "synthetic-2b: 70 % of 10 bytes\n"
    assert "no type Q9" in refusal(edge("make", "synthetic-2b", "--quant", "Q9"))
    assert "none.json cannot be read" in refusal(
        edge("make", "synthetic-2b", "--vocabulary", str(folder / "none.json"))
    )
    assert "home folder of ~nobody-here is not known" in refusal(
        edge("make", "synthetic-2b", "--vocabulary", "~nobody-here/t.json")
    )
    (folder / "qwen3").mkdir()
    (folder / "qwen3" / "tokenizer.json").write_text(
        '{"model": {"vocab": {"a": 0}, "merges": []}, "added_tokens": []}'
    )
    result = edge("make", "synthetic-2b", "--vocabulary", "qwen3")
    assert result.stdout == f"{folder / 'a'}\n{folder / 'Q8_0'}\n"
    assert "only synthetic-2b" in refusal(edge("make", "qwen3-vl-2b"))


def test_at_a_terminal_there_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with progress.show_progress("m") as tell:
        tell(100_000, 400_000)
        tell(400_000, 400_000)
    said = capsys.readouterr().err
    assert "400.0/400.0 kB" in said
    assert "%" not in said


def test_tiny_is_written_again_in_another_type(
    edge: Edge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the bundled model itself
    monkeypatch.setenv("EDGE_DATA_DIR", str(folder.parent))
    before = edge("path", "tiny-q8")
    assert before.exit_code == 1
    assert "edge models make tiny-q8" in before.stderr
    made = edge("make", "tiny-q8")
    assert made.exit_code == 0, made.stderr
    assert made.stdout == edge("path", "tiny-q8").stdout
    assert all(Path(line).is_file() for line in made.stdout.split())
    assert edge("rm", "tiny-q8").exit_code == 0
    assert not list(folder.glob("*tiny-q8*"))
