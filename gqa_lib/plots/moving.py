"""A picture that moves: query heads, the KV heads they read, and a cache that grows by a token.

It is HTML that needs no kernel and loads nothing: the same in a notebook and on the site. Where no
script may run (a notebook of somebody else's, a page of feedback) a still and a sentence are left.
"""

from __future__ import annotations

import base64
import html
import io
import json
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt

from gqa_lib.arguments import check_choice, check_whole
from gqa_lib.heads import check_heads

from .sharing import head_maps
from .style import FIGURE, attention_arm, use_style

HEADS = (4, 6, 8, 12, 16, 24, 32)  # query heads to choose from; each can be shared in some way
MOST_TOKENS = 32
HEAD_DIM, DTYPE, BYTES_PER_ELEMENT = 128, "bfloat16", 2
_HERE = Path(__file__).parent
_WHY_STILL = (
    "This picture stands still. It moves where scripts may run, as in a notebook that you ran "
    "yourself."
)


def moving_picture(num_heads: int = 8, num_kv_heads: int = 2, tokens: int = 8) -> None:
    """Shows query heads that share KV heads, and what each step reads; returns nothing.

    Sliders change the heads and the tokens, and buttons let the cache grow. Bytes are of one layer
    with heads of 128 in bfloat16: 2 x num_kv_heads x 128 x 2 bytes for each token.

    Args:
        num_heads: Hq, query heads to begin with: 4, 6, 8, 12, 16, 24 or 32.
        num_kv_heads: Hkv, KV heads to begin with.
        tokens: in the cache to begin with, 32 at most.
    """
    from IPython.display import display

    text = picture_in_words(num_heads, num_kv_heads, tokens)
    data = {
        "text/html": moving_html(num_heads, num_kv_heads, tokens),
        "image/png": _still(num_heads, num_kv_heads),
        "text/plain": text,
    }
    display(data, metadata={"image/png": {"alt": text}}, raw=True)


def moving_html(num_heads: int = 8, num_kv_heads: int = 2, tokens: int = 8) -> str:
    """The picture as HTML for any page; its script is in it.

    Args:
        num_heads: Hq, query heads to begin with: 4, 6, 8, 12, 16, 24 or 32.
        num_kv_heads: Hkv, KV heads to begin with.
        tokens: in the cache to begin with, 32 at most.

    Returns:
        HTML without an empty line, so that Markdown takes it whole.
    """
    text = html.escape(picture_in_words(num_heads, num_kv_heads, tokens))
    about = {
        "num_heads": num_heads,
        "num_kv_heads": num_kv_heads,
        "tokens": tokens,
        "heads": HEADS,
        "most_tokens": MOST_TOKENS,
        "head_dim": HEAD_DIM,
        "dtype": DTYPE,
        "bytes_per_element": BYTES_PER_ELEMENT,
        "style": _lines_of("moving.css"),
    }
    still = f"data:image/png;base64,{_still(num_heads, num_kv_heads)}"
    return (
        f'<div class="gqa-moving" data-about="{html.escape(json.dumps(about))}">'
        f'<img class="{FIGURE}" src="{still}" alt="{text}" style="max-width: 100%">'
        f"<p>{text} {_WHY_STILL}</p></div>\n"
        f"<script>(() => {{\n{_lines_of('moving.js')}\n}})();</script>"
    )


def picture_in_words(num_heads: int, num_kv_heads: int, tokens: int) -> str:
    """What the picture shows when it begins, in words.

    Args:
        num_heads: Hq, query heads.
        num_kv_heads: Hkv, KV heads.
        tokens: in the cache.

    Raises:
        ValueError: the heads cannot be shared so, or the picture has no place for so many.
    """
    check_choice(HEADS, num_heads=num_heads)
    check_heads(num_heads, num_kv_heads)
    check_whole(0, tokens=tokens)
    if tokens > MOST_TOKENS:
        raise ValueError(
            f"tokens={tokens}: the picture has columns for {MOST_TOKENS}. Begin with fewer."
        )
    arm, q_per_kv = attention_arm(num_heads, num_kv_heads), num_heads // num_kv_heads
    if arm == "MHA":
        said = "MHA: each query head reads a KV head of its own."
    else:
        many, one = (f"all {num_heads}", "one") if arm == "MQA" else (q_per_kv, "each")
        said = f"{arm}: {many} query heads read {one} KV head. "
        said += f"A step reads 1/{q_per_kv} of MHA's bytes."
    held = [2 * n * HEAD_DIM * BYTES_PER_ELEMENT * tokens for n in (num_kv_heads, num_heads, 1)]
    own, mha, mqa = (f"{one / 1024:,g} KiB" for one in held)
    return (
        f"{said} {num_heads} query heads, {_count(num_kv_heads, 'KV head')}, "
        f"{_count(tokens, 'token')} in the cache. This step reads {own}; MHA {mha}, MQA {mqa}. "
        f"All steps so far: {held[0] * (tokens + 1) / 2048:,g} KiB."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _lines_of(name: str) -> str:
    """Return a file that lies here, without its empty lines."""
    lines = (_HERE / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip())


@cache
def _still(num_heads: int, num_kv_heads: int) -> str:
    """Return who reads whom as a PNG image in base64: as MHA, as asked for, as MQA."""
    arms, stream = dict.fromkeys((num_heads, num_kv_heads, 1)), io.BytesIO()
    with plt.rc_context():  # the style is this figure's alone
        use_style()
        fig = head_maps(num_heads, list(arms))
        fig.savefig(stream, format="png", dpi=100)
        plt.close(fig)
    return base64.b64encode(stream.getvalue()).decode("ascii")
