"""`edge ask` starts with what loads fastest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image, ImageColor, ImageDraw
from typer.testing import CliRunner

from edge.cli import ask
from edge.cli.app import app
from edge.cli.draw import COLOURS
from edge.engine.engine import Engine
from edge.engine.ticket import Ticket
from edge.errors import SetupError
from edge.images import TOKEN_PX, Picture
from edge.models.registry import tiny_files
from edge.qwen3vl.preprocess import grid
from edge.qwen3vl.tasks import TASKS
from edge.request import Request
from edge.serving.plan import Plan
from edge.settings import Settings
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.images.pdf_files import drawn
from tests.serving.tuned import FAST, keep_tuning
from tests.videos.video_files import video


@pytest.mark.parametrize(
    ("said", "runtime"), [({}, "llama"), ({"EDGE_RUNTIME": "openvino"}, "openvino")]
)
def test_a_tuned_machine_still_asks_with_llama_cpp_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, str], runtime: str
) -> None:
    settings, files = Settings(data_dir=tmp_path), tiny_files()
    keep_tuning(settings, files)
    plans: list[Plan] = []

    def build(plan: Plan) -> None:
        plans.append(plan)
        raise SetupError("This is as far as the test goes.")

    monkeypatch.setattr(ask, "build_engine", build)
    picture = tmp_path / "grey.png"
    Image.new("RGB", (64, 64)).save(picture)
    words = ["ask", str(picture), "What is this?", "--model", "tiny"]
    environ = {"EDGE_DATA_DIR": str(tmp_path)} | said
    result = CliRunner().invoke(app, words, env=environ)
    assert result.exit_code == 1
    assert "as far as the test goes" in result.stderr
    [plan] = plans
    assert plan.language.runtime == runtime
    assert plan.vision.kernels == FAST
    assert plan.settings.slots == 1


def test_a_large_picture_is_decoded_to_the_size_that_the_encoder_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    build_engine = ask.build_engine

    def build(plan: Plan) -> Engine:
        engine = build_engine(plan)
        submit = engine.submit

        def submitted(request: Request, pictures: dict[str, Picture]) -> Ticket:
            [picture] = pictures.values()
            sizes.append((picture.width, picture.height))
            return submit(request, pictures)

        monkeypatch.setattr(engine, "submit", submitted)
        return engine

    monkeypatch.setattr(ask, "build_engine", build)
    picture = tmp_path / "grey.png"
    Image.new("RGB", (1600, 1200)).save(picture)
    words = ["ask", str(picture), "What is this?", "--model", "tiny"]
    result = CliRunner().invoke(app, words, env={"EDGE_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 0, result.stderr
    [(width, height)] = sizes
    rows, columns = grid(width, height, 64, 96)  # what the tiny model takes
    assert (columns * TOKEN_PX, rows * TOKEN_PX) == (width, height)


LONG = video([Image.new("RGB", (64, 64))] * 200, rate=1)


def would_download(*_: object) -> None:
    raise SetupError("This would have downloaded a model.")


@pytest.mark.parametrize(
    ("file", "reason"),
    [(b"no picture", "This is neither a picture"), (LONG, "The video has 200 seconds")],
)
def test_what_cannot_be_read_is_refused_before_a_model_is_downloaded(
    file: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "find_model", would_download)
    chosen = tmp_path / "notes.txt"
    chosen.write_bytes(file)
    result = CliRunner().invoke(app, ["ask", str(chosen), "What is this?"])
    assert result.exit_code == 1
    assert f"notes.txt: {reason}" in result.stderr
    assert "downloaded" not in result.stderr


def test_boxes_on_videos_alone_are_refused_before_a_model_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "find_model", would_download)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(video([Image.new("RGB", (64, 64))] * 4))
    result = ask_task(tmp_path, str(clip), "--draw", str(tmp_path / "drawn.png"))
    assert result.exit_code == 1
    assert "not drawn on videos: leave --draw out" in result.stderr


def shape(kind: str, colour: str) -> Image.Image:
    image = Image.new("RGB", (256, 256), "white")
    getattr(ImageDraw.Draw(image), kind)((40, 40, 140, 140), fill=colour)
    return image


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "shapes.pdf"
    pages = shape("ellipse", "red"), shape("rectangle", "blue")
    path.write_bytes(drawn(*pages))
    return path


def asked(*words: str, data_dir: Path) -> Result:
    command = ["ask", *words, "What is in the picture?", "--model", "tiny"]
    return CliRunner().invoke(app, command, env={"EDGE_DATA_DIR": str(data_dir)})


def test_each_page_of_a_document_has_a_right_answer(
    tmp_path: Path, document: Path
) -> None:
    result = asked(str(document), "--per-page", data_dir=tmp_path)
    assert result.exit_code == 0, result.stderr
    first, second = result.stdout.split("## shapes.pdf, page 2 of 2")
    assert first.startswith("## shapes.pdf, page 1 of 2\n\n")
    assert "red circle" in first and "blue square" in second


def test_a_video_is_told_of_and_answered(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(video([shape("ellipse", "red")] * 20))
    result = asked(str(clip), data_dir=tmp_path)
    assert result.exit_code == 0, result.stderr
    assert "clip.mp4: 4 frames of 2.0 s, " in result.stderr
    assert "red circle" in result.stdout


def test_several_files_give_json(tmp_path: Path, document: Path) -> None:
    picture = tmp_path / "green.png"
    shape("rectangle", "green").save(picture)
    options = ["--pages", "1", "--per-page", "--json"]
    result = asked(str(document), str(picture), *options, data_dir=tmp_path)
    answers = json.loads(result.stdout)["answers"]
    found = [(answer["page"], answer["content"]) for answer in answers]
    assert [page for page, _ in found] == ["shapes.pdf, page 1 of 2", "green.png"]
    assert "red circle" in found[0][1] and "green square" in found[1][1]


def test_a_page_that_there_is_not_is_refused(tmp_path: Path, document: Path) -> None:
    result = asked(str(document), "--pages", "3", data_dir=tmp_path)
    assert result.exit_code == 1
    assert "no page 3" in result.stderr


BOX = '```json\n[\n\t{"bbox_2d": [250, 250, 750, 750], "label": "red square"}\n]\n```'


@pytest.fixture
def pointing(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests to an engine that always points to the same place."""
    requests: list[Request] = []

    def build(plan: Plan) -> Engine:
        engine = Engine(StubRuntime(BOX), StubTower())
        submit = engine.submit

        def submitted(request: Request, pictures: dict[str, Picture]) -> Ticket:
            requests.append(request)
            ticket = submit(request, pictures)
            assert isinstance(ticket, Ticket)
            return ticket

        monkeypatch.setattr(engine, "submit", submitted)
        return engine

    monkeypatch.setattr(ask, "build_engine", build)
    return requests


def ask_task(data_dir: Path, *words: str) -> Result:
    command = ["ask", *words, "--model", "tiny", "--task", "locate"]
    return CliRunner().invoke(app, command, env={"EDGE_DATA_DIR": str(data_dir)})


def test_a_task_asks_and_its_boxes_are_drawn(
    tmp_path: Path, pointing: list[Request]
) -> None:
    picture, drawn = tmp_path / "grey.png", tmp_path / "drawn.png"
    Image.new("RGB", (400, 400), "#808080").save(picture)
    result = ask_task(tmp_path, str(picture), "red squares", "--draw", str(drawn))
    assert result.exit_code == 0, result.stderr
    assert "red square" in result.stdout
    [request] = pointing
    assert request.messages[0].content[1] == TASKS["locate"].prompt("red squares")
    with Image.open(drawn) as image:
        side = image.width // 4
        edge_of_box = image.getpixel((side, 2 * side))
        assert edge_of_box == ImageColor.getrgb(COLOURS[0])
        assert image.getpixel((2 * side, 2 * side)) == (128, 128, 128)


def test_words_may_be_longer_than_the_name_of_a_file(
    tmp_path: Path, pointing: list[Request]
) -> None:
    picture, words = tmp_path / "grey.png", "red squares, " * 30
    Image.new("RGB", (64, 64)).save(picture)
    result = ask_task(tmp_path, str(picture), words)
    assert result.exit_code == 0, result.stderr
    assert pointing[0].messages[0].content[1] == TASKS["locate"].prompt(words)
    result = ask_task(tmp_path, words, str(picture))
    assert result.exit_code == 1
    assert "There is no file red squares" in result.stderr


def test_a_task_needs_no_words_and_takes_several_files(
    tmp_path: Path, document: Path, pointing: list[Request]
) -> None:
    drawn = tmp_path / "drawn.png"
    options = ["--per-page", "--json", "--draw", str(drawn)]
    result = ask_task(tmp_path, str(document), *options)
    assert result.exit_code == 0, result.stderr
    assert len(pointing) == 2
    prompts = {request.messages[0].content[-1] for request in pointing}
    assert prompts == {TASKS["locate"].prompt("")}
    for answer in json.loads(result.stdout)["answers"]:
        assert answer["grounding"][0]["bbox_2d"] == [250, 250, 750, 750]
    names = sorted(path.name for path in tmp_path.glob("drawn*"))
    assert names == ["drawn-1.png", "drawn-2.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Write the file of a picture and then a question, or choose a --task."),
        (["--task", "dance"], "There is no task 'dance'. Tasks: describe, read,"),
        (["What?", "--draw", "nowhere/a.png"], "There is no folder nowhere for a.png."),
        (["What?", "--model", "~nobody-here/m.gguf"], "home folder of ~nobody-here"),
        (["What?", "--draw", "."], ". is a folder: name a file, as boxes.png."),
    ],
)
def test_what_cannot_be_asked_is_said_at_once(words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["ask", "grey.png", *words])
    assert result.exit_code == 1
    assert said in result.stderr
