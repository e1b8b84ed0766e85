"""Boxes and points: read as models write them, in pixels of the file that was sent."""

from __future__ import annotations

import io
import json
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from edge.images import Picture, normalise
from edge.marks import Mark, Orientation, SourceFile
from edge.qwen3vl.grounding import MOST, marks_in, pixels
from edge.request import PictureRef

WHOLE = PictureRef("0" * 64, 1000, 1000)  # a thousandth is a pixel
BOX = (120, 85, 431, 398)
ONE = '{"bbox_2d": [120, 85, 431, 398], "label": "red circle"}'

WRITTEN = {
    "the cookbook's list": f"```json\n[\n\t{ONE}\n]\n```",
    "one object": ONE,
    "prose around": f"I see one here:\n\n```json\n[{ONE}]\n```\nIt's {{red}}.",
    "single quotes": "[{'bbox_2d': [120, 85, 431, 398], 'label': 'red circle'}]",
    "trailing commas": '[{"label": "red circle", "bbox_2d": [120, 85, 431, 398,],},]',
    "parentheses": "[{'bbox_2d': (120, 85, 431, 398), 'label': 'red circle'}]",
    "no quotes": "{bbox_2d: [120, 85, 431, 398], label: 'red circle'}",
    "Chinese colons": '{"bbox_2d"：[120, 85, 431, 398]，"label"："red circle"}',
    "no spaces": '{"bbox_2d":[120,85,431,398],"label":"red circle"}',
    "in another object": f'{{"objects": [{ONE}], "n": 1}}',
    "with more fields": ONE[:-1] + ', "colour": "red", "parts": ["a", {"b": 1}]}',
    "a second one is cut off in a number": f'[{ONE}, {{"bbox_2d": [1, 2, 3',
    "turned corners": '{"bbox_2d": [431, 398, 120, 85], "label": "red circle"}',
    "numbers in quotes": ONE.replace("120, 85", '"120", "85"'),
    "exponents": ONE.replace("120", "1.2e2"),
    "a comment": ONE.replace("398],", "398],  // it's the {red} one\n"),
    "Chinese quotes": "{“bbox_2d”：[120，85，431、398]，“label”：“red circle”}",
    "a call": f'<tool_call>{{"name": "mark", "arguments": {ONE}}}</tool_call>',
    "no commas": ONE.replace("120, 85,", "120 85"),
    "a text of OCR": ONE.replace("label", "text_content"),
    "an escape": ONE.replace("red", "\\u0072ed"),
    "behind thoughts": f"<think>{{}}</think>{ONE}",
    "with an object before its box": '{"label": "red circle", "style": {"fill": "red"},'
    ' "bbox_2d": [120, 85, 431, 398]}',
    "with an object before its label": '{"bbox_2d": [120, 85, 431, 398],'
    ' "style": {"name": "plain"}, "label": "red circle"}',
    "with a label for several": '{"label": "red circle", "boxes":'
    ' [{"bbox_2d": [120, 85, 431, 398]}]}',
    "with that label at the end": '{"boxes": [{"bbox_2d": [120, 85, 431, 398]}],'
    ' "label": "red circle"}',
    "with numbers as values": ONE[:-1] + ', "score": 0.9, "image": 1}',
    "with nothing as a value": ONE.replace('"label"', '"name": null, "label"'),
    "after an object that is not closed": f'{{"cup": \n```\n{ONE}',
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_box_is_read_as_models_write_it(text: str) -> None:
    assert marks_in(text, [WHOLE]) == (Mark(0, "red circle", BOX, BOX),)


def test_a_point_is_read() -> None:
    text = '```json\n[{"point_2d": [500, 250.5], "label": "eye"}]\n```'
    point = Mark(0, "eye", (500, 250.5), (500, 250))
    assert marks_in(text, [WHOLE]) == (point,)
    assert not point.is_box


def test_several_boxes_of_one_label() -> None:
    text = '{"bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]], "label": "cup"}'
    assert [m.thousandths for m in marks_in(text, [WHOLE])] == [
        (1, 2, 3, 4),
        (5, 6, 7, 8),
    ]


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ('"label": 3', "3"),
        ('"text": 4271', "4271"),
        ('"label": ["3"]', "3"),
        ('"label": null', ""),
        ("'label': None", ""),
        ('"label": true', ""),
        ('"label": "None"', "None"),
        ('"label": ""', ""),
        ('"label": {"en": "cup"}', ""),
    ],
)
def test_only_a_value_is_a_label(written: str, label: str) -> None:
    for text in (f"{{{written}, {ONE[1:40]}}}", f"{{{ONE[1:33]}, {written}}}"):
        assert [m.label for m in marks_in(text, [WHOLE])] == [label], text


def test_a_list_that_is_cut_off_keeps_what_is_whole() -> None:
    whole = ",\n".join(
        json.dumps({"bbox_2d": [n, n, n + 9, n + 9], "label": f"cup {n}"})
        for n in range(20)
    )
    for n in range(len(whole)):
        marks = marks_in(f"[{whole[:n]}", [WHOLE])
        n_boxes = whole[:n].count("]")
        assert [m.pixels[0] for m in marks] == [*range(n_boxes)]
        assert all(m.label == f"cup {m.pixels[0]}" for m in marks[:-1])


def test_nothing_is_found_where_nothing_is() -> None:
    nothing = ["", "{}", "bbox_2d", "```json\n[]\n```", '{"bbox_2d": [1, 2, 3]}',
               '{"bbox_2d": "here"}', '{"bbox_2d": [7, 7, 7, 9]}',
               '{"bbox_2d": [4000, 5000, 6000, 7000]}', '{"point_2d": [1010, 5]}',
               '{"bbox": [1, 2, 3, 4]}']  # fmt: skip
    assert [marks_in(text, [WHOLE]) for text in nothing] == [()] * len(nothing)
    assert marks_in(ONE, []) == ()


@pytest.mark.parametrize(
    "written",
    [
        "[NaN, 120, 85, 431, 398]",
        "[null, 120, 85, 431, 398]",
        "[true, 120, 85, 431, 398]",
        '[120, 85, "left", 431, 398]',
        "[[120, 85], 431, 398, 500, 600]",
        "[[120, 85], [431, 398]]",
        "[12345678901, 5, 6]",
        "[1-20, 85, 431]",
        "[12.5.1, 85, 431]",
        "[120%, 85%, 431%, 398%]",
        "[120px, 85px, 431px, 398px]",
        "[x1=120, y1=85, x2=431, y2=398]",
        "[120 / 2, 85, 431, 398]",
        '{"x1": 120, "y1": 85, "x2": 431, "y2": 398}',
        '"120, 85, 431, 398"',
        "[0.12, 0.085, 0.431, 0.398]",
        "[0, 0, 1, 1]",
        "[120, 85, 1431, 1398]",
        "[120, 85, 1e400, 398]",
        "[120, 85, " + "9" * 5000 + ", 398]",
    ],
)
def test_what_may_mean_another_box_is_left_out(written: str) -> None:
    assert marks_in(f'{{"bbox_2d": {written}, "label": "a"}}', [WHOLE]) == ()


def test_other_keys_are_left_out() -> None:
    """Gemini's box_2d begins with y, COCO's bbox ends with a size."""
    for key in ("bbox", "box_2d", "box", "bboxes", "point", "points_2d"):
        assert marks_in(f'{{"{key}": [1, 20, 300, 400]}}', [WHOLE]) == ()


def test_an_answer_in_pixels_has_no_marks() -> None:
    """As Qwen2.5-VL writes: also its boxes near the origin are elsewhere."""
    beyond = '{"bbox_2d": [700, 300, 1400, 900], "label": "dog"}'
    assert marks_in(f"[{ONE}, {beyond}]", [WHOLE]) == ()


@pytest.mark.parametrize("number", ["9" * 30, "1e999", "-3", "1.5", '"n"'])
def test_a_picture_of_no_number_is_the_last(number: str) -> None:
    [mark] = marks_in(f'{ONE[:-1]}, "image": {number}}}', [WHOLE, WHOLE])
    assert mark.picture == 1


NUMBERS = st.integers(0, 1000).map(str) | st.sampled_from(
    ["7.25", "1e2", '"12"', "NaN"]
)
SHAPES = st.builds(
    '{{"{}": [{}], "label": "{}"}}'.format,
    st.sampled_from(["bbox_2d", "point_2d", "bbox"]),
    st.lists(NUMBERS | st.just("[1, 2, 3, 4]"), max_size=6).map(", ".join),
    st.sampled_from(["a cup", "it's", "图1", "[5, 6, 7, 8]", "\\u0041"]),
)
ANSWERS = st.lists(SHAPES | st.sampled_from(["```json\n[", "]\n```", ",", "I see: "]))


@given(ANSWERS.map("".join), st.data())
def test_what_is_cut_off_invents_no_box(text: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(text)))
    whole = [mark.thousandths for mark in marks_in(text, [WHOLE])]
    cut = [mark.thousandths for mark in marks_in(text[:end], [WHOLE])]
    assert cut == whole[: len(cut)]


def test_a_box_that_leaves_the_picture_ends_at_its_edge() -> None:
    [mark] = marks_in('{"bbox_2d": [-3, 900, 1004, 1001]}', [WHOLE])
    assert mark.pixels == (0, 900, 1000, 1000)


def test_marks_and_letters_have_a_bound() -> None:
    text = ONE.replace("red circle", "x" * 1000) * (MOST + 50)
    marks = marks_in(text, [WHOLE])
    assert len(marks) == MOST
    assert {m.label for m in marks} == {"x" * 200}


# texts about three pictures, and the pictures that are right
SEVERAL = {
    "no hint: the last": (f"[{ONE}, {ONE}]", [2, 2]),
    "a list each": (f"```json\n[{ONE}]\n```\n[{ONE}, {ONE}]\n[{ONE}]", [0, 1, 1, 2]),
    "headings": (f"Image 2:\n[{ONE}]\n\nImage 1:\n[{ONE}, {ONE}]", [1, 0, 0]),
    "Chinese headings": (f"图1：\n[{ONE}]\n第2张图：{ONE}第一页：{ONE}", [0, 1, 0]),
    "a field": (f'[{ONE[:-1]}, "image": 1}}, {ONE}]', [0, 2]),
    "a heading of none": (f"Image 7: [{ONE}]", [2]),
    "both in a sentence": (f"Image 1 and image 2: [{ONE}] [{ONE}] [{ONE}]", [0, 1, 2]),
    "a field first": (f'[{{"image": 1, {ONE[1:]}]', [0]),
    "a field of the last": (f'[{{"image": 3, {ONE[1:]}]', [2]),
    "objects in objects": (
        f'[{{"image": 1, "objects": [{ONE}]}}, {{"image": 2, "objects": [{ONE}]}}]',
        [0, 1],
    ),
    "its number at the end": (f'[{{"objects": [{ONE}], "image": 2}}]', [1]),
    "keys": (f'{{"image 1": [{ONE}, {ONE}], "image_3": [{ONE}]}}', [0, 0, 2]),
    "lists in objects": (f'[{{"a": [{ONE}]}}, {{"a": [{ONE}]}}, {{"b": [{ONE}]}}]',
                         [0, 1, 2]),
    "lists of labels": (
        f'[{{"label": "cup", "a": [{ONE}]}}, {{"label": "jar", "a": [{ONE}]}},'
        f' {{"label": "pan", "a": [{ONE}]}}]',
        [2, 2, 2],
    ),
    "pages": (f"**Page 1 of 3**\n[{ONE}, {ONE}]\nPage 3 of 3: none", [0, 0]),
    "a page of none between": (
        f"Page 1:\n[{ONE}]\nPage 2: none\n**Page 3 of 3:**\n```json\n[{ONE}]",
        [0, 2],
    ),
    "a summary of all": (f"Image 1: a cup.\nImage 2: a jar.\n[{ONE}]", [2]),
    "other signs": (f"Image #1: {ONE} image-2: {ONE} Image No. 1: {ONE}", [0, 1, 0]),
    "ordinals": (f"First image: {ONE} In the 2nd picture: {ONE}", [0, 1]),
    "counted from 0": (
        f'[{ONE[:-1]}, "image_index": 0}}, {ONE[:-1]}, "image_index": 1}}]',
        [0, 1],
    ),
    "headings from 0": (f"Image 0: {ONE} Image 2: {ONE}", [0, 2]),
    "a number that is not only one": (f"Image 2024: {ONE}", [2]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "at"), SEVERAL.values(), ids=SEVERAL)
def test_marks_find_their_picture(text: str, at: list[int]) -> None:
    assert [m.picture for m in marks_in(text, [WHOLE] * 3)] == at
    # pictures that were left out are counted
    behind = marks_in(text, [WHOLE] * 3, n_dropped=3)
    assert [m.picture for m in behind] == [n + 3 for n in at]


LABELS = ["", "offer.pdf, page 5 of 8", "offer.pdf, page 6 of 8", "plan.pdf"]
NAMED = {
    "Page 6 of 8:": 2,
    "### Offer.pdf, page 5 of 8": 1,
    "On page 5 there are": 1,
    "第6页": 2,
    "plan.pdf": 3,
    "floorplan.pdf": 3,  # none: the last
    "Page 1:": 3,  # is not there
    "Image 1:": 0,
}


@pytest.mark.parametrize(("heading", "at"), NAMED.items())
def test_pages_are_found_by_what_the_prompt_calls_them(heading: str, at: int) -> None:
    for text in (f"{heading}\n[{ONE}]", f'[{{"image": "{heading}", {ONE[1:]}]'):
        [mark] = marks_in(text, [WHOLE] * 4, labels=LABELS)
        assert mark.picture == at, text


def test_a_page_of_two_files_needs_the_name_of_its_file() -> None:
    labels = ["a.pdf, page 1 of 2", "a.pdf, page 2 of 2", "b.pdf, page 1 of 2", ""]
    for heading, at in {"a.pdf, page 1 of 2": 0, "Page 2": 1, "Page 1": 3}.items():
        [mark] = marks_in(f"{heading}: {ONE}", [WHOLE] * 4, labels=labels)
        assert mark.picture == at


PIECES = st.sampled_from(
    [
        *"{}[]()\"'\\:,\n ",
        "bbox_2d",
        '"point_2d"',
        "label",
        "12",
        "-3.5",
        "图1",
        "1" * 50,
    ]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=60).map("".join))
@example('{"bbox_2d":[1,2,3,4],"label":"\\ud800"}')
@settings(max_examples=300)
def test_any_text_can_be_read(text: str) -> None:
    for mark in marks_in('{"bbox_2d": [1, 2, 3, 4]}' + text, [WHOLE]):
        assert Mark.from_json(json.loads(json.dumps(vars(mark)))) == mark
        mark.label.encode()


@pytest.mark.parametrize(
    "piece",
    ["{", '{"', "{'", '{"\\', "\\'", '"', "[", '{"bbox_2d":', '"bbox_2d":[', " ", "\n",
     "{a", "1", "{" + "1" * 99, "image ", "图", '{"label":"', "{\\", ONE, "{it's ",
     '{"bbox_2d":[1,2,3,4],"image 1":[', "image 1 ", "image 1\nimage 2 of 3\n"],
)  # fmt: skip
def test_the_time_grows_with_the_text(piece: str) -> None:
    """A reader whose time grew with the square of the text would not end here."""
    text = '{"bbox_2d": ' + piece * (500_000 // len(piece)) + "\\"
    assert len(marks_in(text, [WHOLE])) <= MOST


def test_blanks_behind_a_title_take_no_longer() -> None:
    text = "Image 1 and image 2" + " " * 200_000 + "x " + ONE
    assert len(marks_in(text, [WHOLE, WHOLE])) <= 1


def test_objects_in_objects_are_bounded() -> None:
    deep = "{" * 40 + '{}{"a":' * 5000 + ONE
    assert [mark.label for mark in marks_in(deep, [WHOLE])] == ["red circle"]


SIDES = st.integers(1, 9000)
SOURCES = st.builds(
    SourceFile, SIDES, SIDES, orientation=st.sampled_from(get_args(Orientation))
)


@given(SOURCES, st.tuples(*[st.floats(0, 1)] * 4))
def test_a_box_survives_to_thousandths_and_back(source: SourceFile, box) -> None:
    left, right = sorted(round(x * source.width) for x in box[:2])
    top, bottom = sorted(round(y * source.height) for y in box[2:])
    drawn = left, top, right, bottom
    there = upright(drawn, source)
    assert pixels(there, source) == drawn
    # the model writes whole thousandths
    whole = pixels([round(one) for one in there], source)
    off = [abs(a - b) for a, b in zip(whole, drawn, strict=True)]
    assert max(off) <= max(1, max(source.width, source.height) / 1000)


@given(SOURCES, st.tuples(st.integers(0, 1000), st.integers(0, 1000)))
def test_a_point_is_a_pixel_of_the_file(source: SourceFile, point) -> None:
    column, row = pixels(point, source)
    assert column in range(source.width) and row in range(source.height)
    x, y = upright((column, row, column, row), source)[:2]
    across, down = source.width, source.height
    if source.orientation > 4:
        across, down = down, across
    off = abs(x - point[0]) * across, abs(y - point[1]) * down
    assert max(off) <= 1000.001  # thousandths of a pixel


def upright(box: tuple[int, ...], source: SourceFile) -> tuple[float, ...]:
    """A box of a file in thousandths of the picture that Pillow sets upright."""
    corners = [(box[0] / source.width, box[1] / source.height),
               (box[2] / source.width, box[3] / source.height)]  # fmt: skip
    turns = {  # what each transposition does with the point (x, y)
        1: lambda x, y: (x, y),
        2: lambda x, y: (1 - x, y),
        3: lambda x, y: (1 - x, 1 - y),
        4: lambda x, y: (x, 1 - y),
        5: lambda x, y: (y, x),
        6: lambda x, y: (1 - y, x),
        7: lambda x, y: (1 - y, 1 - x),
        8: lambda x, y: (y, 1 - x),
    }
    turned = [turns[source.orientation](x, y) for x, y in corners]
    xs, ys = sorted(x for x, _ in turned), sorted(y for _, y in turned)
    return tuple(1000 * one for one in (xs[0], ys[0], xs[1], ys[1]))


@pytest.mark.parametrize("size", [(640, 480), (3000, 1200)], ids=["as sent", "shrunk"])
@pytest.mark.parametrize("orientation", get_args(Orientation))
def test_a_box_drawn_in_a_file_is_found_there(size, orientation: Orientation) -> None:
    """The whole way: a file with a box, decoded, set upright and resized; the box that
    the model would see there; and back."""
    width, height = size
    drawn = (width // 8, height // 4, width // 2, height // 3)
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).rectangle(
        (drawn[0], drawn[1], drawn[2] - 1, drawn[3] - 1), fill="red"
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    seen = normalise(file.getvalue(), max_tokens=1024)
    there = [1000 * part for part in fractions_of_red(seen)]
    answer = json.dumps([{"bbox_2d": there, "label": "red"}])
    [mark] = marks_in(answer, [seen.ref])
    # resampling moves an edge by up to half a pixel of the smaller picture
    scale = width / max(seen.width, seen.height)
    off = [abs(a - b) for a, b in zip(mark.pixels, drawn, strict=True)]
    assert max(off) <= max(1, scale)
    assert (seen.source is None) == (scale == 1 and orientation == 1)


def fractions_of_red(picture: Picture) -> tuple[float, ...]:
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    dark = image.getchannel("G").point(lambda green: 255 * (green < 128))
    left, top, right, bottom = dark.getbbox() or (0, 0, 0, 0)
    across, down = picture.width, picture.height
    return left / across, top / down, right / across, bottom / down
