"""Images of strangers: what their headers say bounds what a page shows."""

import io
import struct

import pytest
from hostile_images import DOTS, chunk, header, jpeg, png, text
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from grading.pages.images import MAX_PIXELS, PAGE_PIXELS, Room, pixels_of
from grading.pages.markup import markdown2html
from grading.pages.outputs import NOT_SHOWN, SanitizeOutputs
from grading.safe.outputs import checked_outputs

SIDE = 4000  # of the largest square that one image may be


def made(kind: str, mode: str = "RGB", **options) -> str:
    file = io.BytesIO()
    Image.new(mode, (30, 20)).save(file, kind, **options)
    return text(file.getvalue())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_a_png_of_any_kind_has_its_size(mode):
    assert pixels_of("image/png", made("png", mode)) == 600


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "quality": 95}])
def test_a_jpeg_of_any_kind_has_its_size(options):
    assert pixels_of("image/jpeg", made("jpeg", **options)) == 600


def test_the_largest_that_is_shown_and_one_that_is_larger():
    assert pixels_of("image/png", text(png(header(SIDE, SIDE), DOTS))) == MAX_PIXELS
    assert pixels_of("image/png", text(png(header(SIDE, SIDE + 1), DOTS))) == 0
    assert pixels_of("image/jpeg", text(jpeg(SIDE, SIDE))) == MAX_PIXELS
    assert pixels_of("image/jpeg", text(jpeg(SIDE + 1, SIDE))) == 0


NO_PNG = {
    "a bomb": png(header(2**31 - 1, 2**31 - 1), DOTS),
    "a long line": png(header(2**31 - 1, 1), DOTS),
    "no pixels": png(header(0, 5), DOTS),
    "a sum that is wrong": png(header(5, 5)[:-1] + b"x", DOTS),
    "another header first": png(chunk(b"tEXt", b"x" * 13), header(5, 5), DOTS),
    "a header that is too long": png(chunk(b"IHDR", bytes(14)), DOTS),
    "a depth that is none": png(header(5, 5, 3), DOTS),
    "an animation": png(header(5, 5), chunk(b"acTL", bytes(8)), DOTS),
    "no image": png(header(5, 5)),
    "no end": png(header(5, 5), DOTS, end=b"IEND"),
    "a part longer than the file": png(header(5, 5), b"\xff\xff\xff\xffIDAT" + bytes(80)),
    "very many parts": png(header(5, 5), chunk(b"tEXt") * 10_001, DOTS),
}
NO_JPEG = {
    "a bomb": jpeg(65_535, 65_535),
    "no lines": jpeg(5, 0),
    "two sizes": jpeg(5, 5, b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, 9, 9, 1) + bytes(3)),
    "a size after the scan": jpeg(5, 5, after=b"\xff\xc0" + struct.pack(">HBHH", 11, 8, 9, 9)),
    "very many scans": jpeg(5, 5, after=b"\xff\xda\x00\x02" * 100),
    "no size": b"\xff\xd8\xff\xda\x00\x02\xff\xd9",
    "an empty part without end": b"\xff\xd8" + b"\xff\xe0\x00\x00" * 30 + b"\xff\xd9",
}


@pytest.mark.parametrize("name", NO_PNG)
def test_a_png_that_is_none_or_hostile_is_not_shown(name):
    assert pixels_of("image/png", text(NO_PNG[name])) == 0


@pytest.mark.parametrize("name", NO_JPEG)
def test_a_jpeg_that_is_none_or_hostile_is_not_shown(name):
    assert pixels_of("image/jpeg", text(NO_JPEG[name])) == 0


def test_all_images_of_a_page_have_a_bound_together():
    large = new_output("display_data", data={"image/png": text(png(header(SIDE, SIDE), DOTS))})
    cells = [new_code_cell("", outputs=[large] * 3) for _ in range(4)]
    notebook, _ = SanitizeOutputs().preprocess(new_notebook(cells=cells), {})
    shown = [output.data for cell in notebook.cells for output in cell.outputs]
    assert sum("image/png" in data for data in shown) == PAGE_PIXELS // MAX_PIXELS
    assert shown[-1] == {"text/plain": NOT_SHOWN}
    again, _ = SanitizeOutputs().preprocess(new_notebook(cells=cells), {})
    assert "image/png" in again.cells[0].outputs[0].data  # the next page has its own


def test_a_room_that_is_full_takes_smaller_ones_still():
    room, small = Room(700), made("png")
    assert [room.takes("image/png", small) for _ in range(2)] == [True, False]


def test_a_text_shows_few_pixels_however_many_images_it_has():
    image = f"![x](data:image/png;base64,{text(png(header(1500, 1500), DOTS))})"
    assert markdown2html("\n\n".join([image] * 3)).count("src=") == 1
    bomb = text(NO_PNG["a bomb"])
    assert "src=" not in markdown2html(f"<img src='data:image/png;base64,{bomb}'>")


def test_a_bomb_does_not_leave_the_students_process():
    said = [{"output_type": "display_data", "data": {"image/png": text(NO_PNG["a bomb"])}}]
    assert checked_outputs(said, 10_000)[0][0]["data"] == {"text/plain": ""}
