"""The picture that moves, as browser tests look at it."""

import nbformat
from playwright.sync_api import Locator

from gqa_lib import plots

NAME = "Picture that moves"
SIZES = ((1440, 900), (1280, 720), (390, 844))
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def slider(shown: Locator, name: str) -> Locator:
    """Return one of the picture's sliders."""
    return shown.get_by_role("slider", name=name)


def cut_off(shown: Locator) -> list[str]:
    """Return the texts and shapes that stick out of the picture, once it fits its new width."""
    return shown.evaluate(
        """async picture => {
            for (let frame = 0; frame < 3; frame += 1) {  // a change of width is drawn in the next
                await new Promise(requestAnimationFrame);
            }
            const around = picture.getBoundingClientRect();
            const all = "button, input, td, th, text, path, rect, p:not(.said)";
            return [...picture.querySelectorAll(all)].filter(one => {
                const { left, right, bottom } = one.getBoundingClientRect();
                return left < around.left || right > around.right || bottom > around.bottom;
            }).map(one => one.outerHTML.slice(0, 80));
        }"""
    )


def with_picture() -> nbformat.NotebookNode:
    """Return a notebook that has the picture as its output."""
    data = {
        "text/html": plots.moving_html(8, 2, 8),
        "text/plain": plots.picture_in_words(8, 2, 8),
    }
    output = nbformat.v4.new_output("display_data", data)
    cell = nbformat.v4.new_code_cell("moving_picture()", outputs=[output], execution_count=1)
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    title = nbformat.v4.new_markdown_cell("# A lesson")
    return nbformat.v4.new_notebook(cells=[title, cell], metadata={"kernelspec": kernel})
