"""The parts a decoder consists of, as the table of families names them for counting parameters.

A switch that is a text is a key of the file, or of its class, that switches the part on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Switch = bool | str


@dataclass(frozen=True)
class Experts:
    """Routed experts in place of the feed-forward block, or `beside` it.

    Args:
        where: the rule that says which layers have them, see sparse.py.
        count: keys that hold how many experts a layer has.
        chosen: keys that hold how many of them a token passes.
        width: keys that hold the hidden size of one expert.
        shared: keys that hold how many experts every token passes, of the routed ones' width.
        shared_width: keys that hold the width of all of those together.
        shared_gate: a gate of one output before the shared expert.
        bias: biases of the router and of the experts.
        correction: the router's balancing bias is a parameter, not a constant.
        latent: key that holds the width the experts work in, where it is not the model's.
        inside: key that holds the keys above.
        beside: the layer keeps its feed-forward block.
    """

    where: str = "all"
    count: tuple[str, ...] = ("num_experts",)
    chosen: tuple[str, ...] = ("num_experts_per_tok",)
    width: tuple[str, ...] = ("moe_intermediate_size",)
    shared: tuple[str, ...] = ()
    shared_width: tuple[str, ...] = ()
    shared_gate: bool = False
    bias: bool = False
    correction: bool = False
    latent: str = ""
    inside: str = ""
    beside: bool = False


@dataclass(frozen=True)
class Family:
    """The parts of a decoder: by default Llama's without any bias.

    Args:
        qkv_bias: biases of the projections to queries, keys and values.
        out_bias: a bias of the projection back.
        qk_norm: norms of queries and keys: of each "head", with a bias ("head+bias"), or over the
            whole "width".
        qk_norm_if: whether it has those.
        sinks: one learned score per head.
        window_sinks: the same in layers with a window, where those differ.
        query_gate: queries are projected twice, the second time to a gate.
        indexer: a sparse indexer next to the latent.
        gated: feed-forward of three matrices, not two.
        ffn_bias: biases of the feed-forward block.
        width: keys that hold the feed-forward block's hidden size.
        times: that size in multiples of d_model where no key holds it.
        experts: routed experts, if any.
        state: the kind of linear or state-space layers, see mixers.py.
        one_block: a layer is a mixer or a feed-forward block, not both.
        norms: norms of a layer, or the name of the rule for it in parameters.py.
        norm_size: parameters of a norm in multiples of d_model.
        final_norms: norms outside of layers.
        positions: keys that hold how many learned positions there are.
        more_positions: how many more than that are kept.
        head_bias: a bias of the output head.
        layer_inputs: an embedding of its own for every layer, as in Gemma 4.
        only: keys that must have this value, or one of these, if they are there: the parts are
            others otherwise.
        needs: keys of which the file itself has to say one: its class assumes several at once.
        must_say_tied: the file itself has to say whether its output head is tied.
    """

    qkv_bias: Switch = False
    out_bias: Switch = False
    qk_norm: str = ""
    qk_norm_if: Switch = True
    sinks: Switch = False
    window_sinks: Switch | None = None
    query_gate: bool = False
    indexer: bool = False
    gated: bool = True
    ffn_bias: Switch = False
    width: tuple[str, ...] = ("intermediate_size",)
    times: int = 0
    experts: Experts | None = None
    state: str = ""
    one_block: bool = False
    norms: int | str = 2
    norm_size: int = 1
    final_norms: int = 1
    positions: tuple[str, ...] = ()
    more_positions: int = 0
    head_bias: Switch = False
    layer_inputs: bool = False
    only: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    must_say_tied: bool = False
