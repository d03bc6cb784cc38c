"""Strangers' words: as Markdown that shows them and as lines that a terminal only prints."""

import re

import pytest
from bs4 import BeautifulSoup
from nbconvert.filters import markdown2html_mistune

from grading.nb.texts import as_markdown, sentence

WORDS = [
    "[Show the whole report](http://127.0.0.1:8888/formgrader?path=FOLDER)",
    "[a]: http://b\n\n[a]",
    "<b onclick=x>bold</b> <http://a.example> http://a.example www.a.example a@b.example",
    "![i](http://a.example/x.png) **strong** _soft_ ~~gone~~",
    "# head\n\n- one\n\n1. two\n\n> three\n\n    four\n\n***",
    "| a | b |\n|---|---|\n| c | d |",
    "term\n: meaning",
    "$x^2$ $$y$$ \\(z\\) \\[w\\] \\begin{align}a\\end{align}",
    "&lt;b&gt; &#91;a](http://b) \\[a](http://b) \\\\[a](http://b)",
    "```\nfence\n```\n~~~\nfence",
    "`[a](http://b) ``[c](http://d)` [e](http://f)``",
    "`$\\href{http://a.example}{x}$`",
    "a `code\n\n# span` of two lines",
]


@pytest.mark.parametrize("words", WORDS)
def test_words_stay_words(words):
    found = BeautifulSoup(markdown2html_mistune(as_markdown(words)), "html.parser")
    assert {tag.name for tag in found.find_all()} <= {"p", "code"}

    def bare(text):
        return re.sub(r"[\s`]+", "", text)

    assert bare(found.text) == bare(words)


def test_code_on_one_line_stays_code():
    shown = markdown2html_mistune(as_markdown("It stopped with `a[0] * <b>`. Look *there*."))
    assert "<code>a[0] * &lt;b&gt;</code>" in shown
    assert "*there*" in shown


def test_a_sentence_is_one_line_that_does_nothing_in_a_terminal():
    told = sentence("a\x1b]0;x\x07\r\nb\u202e\ud800\0 é" + "x" * 5000)
    assert told.startswith("a?]0;x? b???")
    assert told.isprintable()
    assert len(told) == 1000
