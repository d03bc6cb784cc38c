"""The picture that moves, as Python makes it: its words, and what is left without scripts."""

import html
import json
import re

import pytest
from bs4 import BeautifulSoup

from gqa_lib import cost, plots
from gqa_lib.configs import ModelConfig
from gqa_lib.heads import kv_head_choices
from gqa_lib.plots import moving
from gqa_lib.plots.style import COLOURS
from grading.pages.outputs import clean_outputs
from grading.site.links import broken


@pytest.fixture
def shown(monkeypatch):
    """What was given to a notebook to show: (data, metadata) of each."""
    given = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, metadata, raw: given.append((data, metadata))
    )
    return given


def layer_kib(heads, kv_heads, tokens):
    layer = ModelConfig("one layer", 1, heads, kv_heads, 128, 128 * heads)
    return f"{cost.kv_cache_bytes(layer, [tokens], 2) / 1024:,g} KiB"


@pytest.mark.parametrize("heads", moving.HEADS)
def test_its_words_have_the_librarys_bytes(heads):
    for kv_heads in kv_head_choices(heads):
        words = plots.picture_in_words(heads, kv_heads, 7)
        step, mha, mqa = (layer_kib(heads, n, 7) for n in (kv_heads, heads, 1))
        assert f"This step reads {step}; MHA {mha}, MQA {mqa}." in words
        assert f"All steps so far: {layer_kib(heads, kv_heads, sum(range(8)))}." in words
        assert words.startswith(plots.attention_arm(heads, kv_heads))
        assert kv_heads == heads or f"1/{heads // kv_heads} of MHA's bytes" in words


def test_heads_that_cannot_be_shared_so_are_refused():
    with pytest.raises(ValueError, match="Choose num_kv_heads from 1, 2, 4, 8"):
        plots.moving_html(8, 3)
    with pytest.raises(ValueError, match="num_heads"):
        plots.moving_html(7, 1)
    with pytest.raises(ValueError, match="columns for 32"):
        plots.moving_html(8, 2, 33)
    with pytest.raises(ValueError, match="tokens"):
        plots.moving_html(8, 2, -1)


def test_it_loads_nothing(tmp_path):
    made = plots.moving_html()
    (tmp_path / "a.html").write_text(made)
    assert broken(tmp_path) == []
    outside = re.sub(r"data:image/png;base64,[\w+/=]+", "", made)
    outside = outside.replace("http://www.w3.org/2000/svg", "")  # the name of a kind of element
    assert "//" not in re.sub(r"^\s*//.*$|// .*$", "", outside, flags=re.MULTILINE)
    assert not re.search(r"fetch|\bimport\b|XMLHttp|WebSocket|url\(", outside)


def test_its_script_and_style_end_where_they_should():
    made = plots.moving_html()
    assert made.count("<script>") == made.count("</script>") == 1
    assert made.endswith("</script>")
    assert "\n\n" not in made
    page = BeautifulSoup(made, "html.parser")
    about = json.loads(page.select_one(".gqa-moving")["data-about"])
    assert about["num_heads"] == 8
    assert ":host" in about["style"]
    for arm in ("MHA", "GQA", "MQA"):
        assert COLOURS[arm].lower() in about["style"]


def test_where_no_script_runs_there_is_a_still_with_its_words():
    page = BeautifulSoup(plots.moving_html(8, 2, 8), "html.parser")
    page.script.extract()
    words = plots.picture_in_words(8, 2, 8)
    assert page.img["alt"] == words
    assert page.get_text().strip() == f"{words} {moving._WHY_STILL}"


def test_a_page_of_feedback_has_the_still_and_the_words_and_no_script(shown):
    plots.moving_picture(8, 2, 8)
    ((data, metadata),) = shown
    (output,) = clean_outputs([{"output_type": "display_data", "data": data, "metadata": metadata}])
    words = plots.picture_in_words(8, 2, 8)
    assert set(output["data"]) == {"image/png", "text/plain"}
    assert output["data"]["text/plain"] == words
    assert output["metadata"]["image/png"]["alt"] == words
    assert html.escape(words) in data["text/html"]


def test_a_figure_that_follows_has_its_own_style():
    import matplotlib.pyplot as plt

    moving._still.cache_clear()
    plt.rcParams["font.size"] = 5
    plots.moving_html(8, 4)
    assert plt.rcParams["font.size"] == 5
    assert not plt.get_fignums()
