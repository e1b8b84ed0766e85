"""A chosen file is judged, turned and made smaller before it is sent."""

from __future__ import annotations

import base64
import io
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page

from edge.images import normalise
from edge.images.decode import MAX_SOURCE_PIXELS
from tests.images.heif_files import heic

pytestmark = pytest.mark.browser

LIMITS = {
    "minTokens": 4,
    "autoTokens": 256,
    "maxTokens": 256,
    "bodyBytes": 32 << 20,
    "sourcePixels": MAX_SOURCE_PIXELS,
    "formats": ["jpeg", "png", "webp", "gif", "heif", "tiff"],
}
PREPARE = """async ([base64, name, limits, choice]) => {
  const {prepare} = await import("/page/pictures.js");
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const file = new File([bytes], name);
  try {
    const {sent, original, ...about} = await prepare(file, limits, choice);
    const data = new Uint8Array(await sent.arrayBuffer());
    let text = "";
    for (const byte of data) text += String.fromCharCode(byte);
    const isSame = sent === file;
    return {...about, sent: btoa(text), isSame, hasOriginal: original === file};
  } catch (error) {
    return {code: error.code ?? String(error), values: error.values};
  }
}"""


def prepare(page: Page, data: bytes, name: str = "a.jpg", **choice: Any) -> Any:
    encoded = base64.b64encode(data).decode()
    limits = {**LIMITS, **choice.pop("limits", {})}
    return page.evaluate(PREPARE, [encoded, name, limits, choice])


def quadrants(width: int, height: int) -> Image.Image:
    """Red, green, blue and yellow quarters, in reading order."""
    image = Image.new("RGB", (width, height), "red")
    pen = ImageDraw.Draw(image)
    half_x, half_y = width // 2, height // 2
    pen.rectangle((half_x, 0, width, half_y - 1), fill="lime")
    pen.rectangle((0, half_y, half_x - 1, height), fill="blue")
    pen.rectangle((half_x, half_y, width, height), fill="yellow")
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(picture: Image.Image) -> list[str]:
    names = {(255, 0, 0): "r", (0, 255, 0): "g", (0, 0, 255): "b", (255, 255, 0): "y"}
    found = []
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)):
        at = (int(x * picture.width), int(y * picture.height))
        pixel = picture.convert("RGB").getpixel(at)
        nearest = min(names, key=lambda n: np.abs(np.subtract(n, pixel)).sum())
        found.append(names[nearest])
    return found


def sent(reply: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(reply["sent"])))


def test_a_large_photo_becomes_as_large_as_the_model_sees_it(page: Page) -> None:
    reply = prepare(page, encoded(quadrants(4000, 3000)))
    assert (reply["rows"], reply["columns"]) == (13, 18)
    picture = sent(reply)
    assert picture.size == (18 * 32, 13 * 32) == (reply["width"], reply["height"])
    assert picture.format == "JPEG" and reply["hasOriginal"]
    assert corners(picture) == ["r", "g", "b", "y"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_set_upright_as_the_server_does(
    page: Page, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(quadrants(2000, 1200), exif=exif)
    reply = prepare(page, data)
    upright = normalise(data, 256)
    ours = sent(reply)
    theirs = Image.frombytes("RGB", (upright.width, upright.height), upright.rgb)
    assert corners(ours) == corners(theirs)
    assert (ours.width > ours.height) == (theirs.width > theirs.height)


def test_a_small_picture_is_sent_as_it_is(page: Page) -> None:
    data = encoded(quadrants(320, 200), "PNG")
    reply = prepare(page, data, "a.png")
    assert reply["isSame"] and not reply["hasOriginal"]
    assert (reply["width"], reply["height"]) == (320, 200)


def test_the_original_is_sent_if_the_person_wants_it(page: Page) -> None:
    data = encoded(quadrants(2000, 1200))
    assert prepare(page, data, isOriginal=True)["isSame"]


def test_thin_lines_survive(page: Page) -> None:
    """As much contrast as the server's own resampling leaves."""
    image = Image.new("RGB", (3000, 3000), "white")
    pen = ImageDraw.Draw(image)
    for x in range(0, 3000, 40):
        pen.line((x, 0, x, 3000), fill="black", width=4)
    data = encoded(image, "PNG")
    ours = np.asarray(sent(prepare(page, data, "a.png")).convert("L"), float)
    there = normalise(data, 256, (512, 512))
    theirs = Image.frombytes("RGB", (there.width, there.height), there.rgb)
    assert ours.std() == pytest.approx(
        np.asarray(theirs.convert("L"), float).std(), rel=0.2
    )


def test_transparent_becomes_white(page: Page) -> None:
    image = Image.new("RGBA", (1500, 1500), (0, 0, 0, 0))
    picture = sent(prepare(page, encoded(image, "PNG"), "a.png")).convert("RGB")
    assert picture.getpixel((5, 5)) == (255, 255, 255)


def test_a_part_is_cut_from_the_full_resolution(page: Page) -> None:
    part = {"x": 2000, "y": 0, "width": 400, "height": 300}
    reply = prepare(page, encoded(quadrants(4000, 3000)), part=part)
    picture = sent(reply)
    assert picture.size == (400, 300) and corners(picture) == ["g"] * 4


def test_formats_that_the_browser_reads_become_one_that_the_server_reads(
    page: Page,
) -> None:
    for kind in ("BMP", "AVIF"):
        reply = prepare(page, encoded(quadrants(200, 100), kind), f"a.{kind.lower()}")
        assert sent(reply).format in ("PNG", "JPEG"), reply
        assert corners(sent(reply)) == ["r", "g", "b", "y"]


@pytest.mark.parametrize("kind", ["HEIF", "TIFF"])
def test_what_the_browser_cannot_decode_goes_to_a_server_that_can(
    page: Page, kind: str
) -> None:
    data = heic(quadrants(64, 64)) if kind == "HEIF" else encoded(WHITE, kind)
    reply = prepare(page, data, "a.heic")
    assert reply["isSame"] and reply["width"] == 0
    refusal = prepare(page, data, "a.heic", limits={"formats": ["jpeg"]})
    assert refusal["code"] == "unreadable"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("size", [(1000, 800), (320, 200)])
def test_of_a_moving_picture_the_first_frame_is_kept_still(
    page: Page, kind: str, size: tuple[int, int]
) -> None:
    one, two = quadrants(*size), Image.new("RGB", size)
    moving = encoded(one, kind, save_all=True, append_images=[two])
    reply = prepare(page, moving)
    still = sent(reply)
    assert (reply["isFirst"], still.format) == (True, "PNG")
    assert corners(still) == ["r", "g", "b", "y"]
    assert not reply["hasOriginal"]  # which would move
    assert "isFirst" not in prepare(page, encoded(one, kind))


WHITE = Image.new("RGB", (64, 64), "white")
WHOLE = encoded(quadrants(300, 200))
NOISE = Image.frombytes("RGB", (300, 200), random.Random(1).randbytes(300 * 200 * 3))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"hello " * 1000, "not_a_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>" + b" " * 99, "not_a_picture"),
        (b"%PDF-1.7\n" + bytes(100), "unreadable"),
        (encoded(NOISE)[:20_000], "damaged"),
        (encoded(NOISE, "PNG")[:20_000], "damaged"),
        (encoded(NOISE, "WEBP")[:10_000], "damaged"),
        (b"\xff\xd8" + bytes(3000), "damaged"),
        (encoded(Image.new("L", (5000, 8)), "PNG"), "too_long"),
    ],
)
def test_a_wrong_file_is_refused_when_it_is_chosen(
    page: Page, data: bytes, code: str
) -> None:
    reply = prepare(page, data, "wrong.jpg")
    assert reply["code"] == code and reply["values"]["name"] == "wrong.jpg"


TOO_LARGE = """async ([start]) => {
  const {prepare} = await import("/page/pictures.js");
  const bytes = Uint8Array.from(atob(start), (char) => char.charCodeAt(0));
  const piece = new Uint8Array(1 << 20);
  const file = new File([bytes, ...Array(256).fill(piece)], "huge.jpg");
  file.arrayBuffer = () => { throw new Error("It was read."); };
  return prepare(file, {}).then(() => "", ({code, values}) => [code, values.mb]);
}"""


def test_a_file_that_is_too_large_is_refused_before_it_is_read(page: Page) -> None:
    start = base64.b64encode(WHOLE).decode()
    assert page.evaluate(TOO_LARGE, [start]) == ["too_large", 256]


def test_a_bomb_is_never_decoded(page: Page) -> None:
    header = encoded(Image.new("L", (64, 64)), "PNG")
    huge = (60_000).to_bytes(4, "big")
    bomb = header[:16] + huge + huge + header[24:]
    assert prepare(page, bomb, "a.png")["code"] == "too_many_pixels"
    assert prepare(page, WHOLE)["isSame"]  # the page lives


def test_50_megapixels_are_made_small_in_the_browser(page: Page) -> None:
    reply = prepare(page, encoded(quadrants(8660, 5774), quality=60))
    assert reply["columns"] == 19 and corners(sent(reply)) == ["r", "g", "b", "y"]


def test_a_jpeg_that_only_the_server_makes_small_is_sent_as_it_is(page: Page) -> None:
    small = encoded(WHITE)
    at = small.index(b"\xff\xc0") + 5  # the size in the frame header
    data = small[:at] + (9000).to_bytes(2, "big") * 2 + small[at + 4 :]
    reply = prepare(page, data)
    assert (reply["isSame"], reply["width"]) == (True, 0)
    part = {"x": 0, "y": 0, "width": 100, "height": 100}
    for choice in ({"part": part}, {"limits": {"bodyBytes": len(data)}}):
        refusal = prepare(page, data, **choice)
        assert (refusal["code"], refusal["values"]["mp"]) == ("too_many_pixels", 67)


def test_files_come_in_by_drop_and_paste_anywhere(page: Page) -> None:
    page.evaluate(
        """async () => {
          const {watchIncoming} = await import("/page/incoming.js");
          window.names = [];
          watchIncoming((files) => window.names.push(...files.map(({name}) => name)));
          const holding = (file, text) => {
            const data = new DataTransfer();
            if (file) data.items.add(new File(["x"], file));
            if (text) data.setData("text/plain", text);
            return data;
          };
          const send = (type, kind, key, data) => {
            const about = {bubbles: true, cancelable: true, [key]: data};
            const event = new kind(type, about);
            document.body.dispatchEvent(event);
            return event.defaultPrevented;
          };
          window.prevented = [
            send("dragover", DragEvent, "dataTransfer", holding("d.png")),
            send("drop", DragEvent, "dataTransfer", holding("d.png")),
            send("drop", DragEvent, "dataTransfer", holding("", "words")),
            send("paste", ClipboardEvent, "clipboardData", holding("p.png")),
            send("paste", ClipboardEvent, "clipboardData", holding("t.png", "a\\tb")),
          ];
        }"""
    )
    assert page.evaluate("window.names") == ["d.png", "p.png"]
    assert page.evaluate("window.prevented") == [True, True, False, True, False]
    assert page.locator("html.is-dropping").count() == 0
