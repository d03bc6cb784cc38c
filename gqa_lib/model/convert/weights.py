"""Models and state dicts with fewer KV heads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gqa_lib.arguments import (
    check_choice,
    check_kind,
    check_whole,
    index,
    make_plain,
    plain,
    several,
    shown,
)
from gqa_lib.configs import ModelConfig

from ..language_model import LanguageModel, ropes_of_layers
from ..variant import Variant
from .heads import read_heads, write_heads
from .pool import METHODS, pool, root_of
from .regroup import grouping, reordered

_OUT = "o_proj.weight"
_OF_HEADS = re.compile(r"([qkvo]|qkv)_proj\.(weight|bias)|[qk]_norm\.weight")


@dataclass(frozen=True)
class Conversion:
    """How KV heads are pooled; `convert_state_dict` says what each argument is.

    Args:
        num_kv_heads, method, regroup, seed: as there.
    """

    num_kv_heads: int
    method: str = "subspace"
    regroup: bool = False
    seed: int = 0

    def __post_init__(self):
        make_plain(self)
        check_whole(num_kv_heads=self.num_kv_heads)
        check_choice(METHODS, method=self.method)
        check_kind(bool, "Give True or False.", regroup=self.regroup)
        check_whole(None, seed=self.seed)

    def layer(
        self,
        weights: Mapping[str, Tensor],
        number: int,
        num_heads: int,
        head_dim: int,
        rotary_dim: int,
        moments: Tensor | None,
    ) -> dict[str, Tensor]:
        """Return a layer's attention weights after the conversion.

        Args:
            weights: of its attention, by names such as "k_proj.weight".
            number: of the layer, for what is drawn.
            num_heads, head_dim, rotary_dim: of the layer.
            moments: as in `convert_state_dict`, those of the layer.
        """
        heads = read_heads(weights, num_heads, head_dim)
        how: dict[str, Any] = {
            "rotary_dim": rotary_dim,
            "key_signs": "k_norm.weight" in weights,
            "root": None if moments is None else root_of(moments),
        }
        if self.regroup:
            heads = reordered(heads, grouping(heads, self.num_kv_heads, **how))
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % 2**64)
        pooled = pool(heads, self.num_kv_heads, self.method, generator=generator, **how)
        return write_heads(pooled, weights)


def convert_state_dict(
    state_dict: Mapping[str, Tensor],
    num_kv_heads: int,
    method: str = "subspace",
    *,
    num_heads: int,
    head_dim: int,
    rotary_dim: int | Sequence[int] = 0,
    regroup: bool = False,
    moments: Sequence[Tensor] | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Return a state dict whose attention has fewer KV heads; what else is in it stays as it is.

    Layers are found by their names: a prefix, then q_proj, k_proj, v_proj and o_proj, or qkv_proj
    and o_proj, as in `LanguageModel`, in the course's modules and in most of transformers' models.
    What turns keys is absorbed by queries, what turns values by o_proj. Of keys that are normalised
    after their projection (k_norm) only signs turn, because rotated ones would meet other weights
    there.

    Args:
        state_dict: weights, (out, in), as torch stores them. It is not changed.
        num_kv_heads: KV heads to be left, a divisor of those there are.
        method: how, one of `METHODS`; `pool` says what each is. On the small model that ships, 8 to
            2 KV heads and 60 steps of training took the loss from 1.54 bits per byte to 2.34 and
            1.77 by "subspace", to 3.32 and 1.89 by "aligned", to 5.34 and 3.07 by "mean".
        num_heads: Hq, query heads.
        head_dim: D.
        rotary_dim: elements of a head that RoPE turns, the first ones, in halves; 0 without RoPE.
            One for all layers, or one for each.
        regroup: whether KV heads that are alike come together first; the order of query heads
            follows. Otherwise neighbours are pooled.
        moments: of each layer, as `second_moments` gives them: heads are then alike where they
            make the same of such a text, not where their weights are. None is by weights.
        seed: of "random".

    Returns:
        All weights, each in its own dtype; computed in float64 and rounded once.

    Raises:
        ValueError: no attention is found, heads do not fit, or num_kv_heads does not divide the KV
            heads.

    Source: Ainslie et al. 2023 (arXiv 2305.13245), section 2.1, for mean, first and random; Jin et
    al. 2024 (arXiv 2412.20677) for alignment before the mean.
    """
    check_whole(num_heads=num_heads, head_dim=head_dim)
    num_heads, head_dim = plain(num_heads), plain(head_dim)
    conversion = Conversion(num_kv_heads, method, regroup, seed)
    prefixes = [name.removesuffix(_OUT) for name in state_dict if name.endswith(_OUT)]
    if not prefixes:
        raise ValueError(
            f"no tensor's name ends with {_OUT}: there is no attention to convert. Give the "
            "state_dict of a model whose projections are called q_proj, k_proj, v_proj, o_proj."
        )
    turning = _rotary_dims(rotary_dim, len(prefixes), head_dim)
    width = state_dict[f"{prefixes[0]}{_OUT}"].shape[0] + 1
    known = checked_moments(moments, len(prefixes), width)
    made = dict(state_dict)
    for number, prefix in enumerate(prefixes):
        weights = attention_of(state_dict, prefix)
        try:
            new = conversion.layer(
                weights, number, num_heads, head_dim, turning[number], known[number]
            )
        except ValueError as refused:
            raise ValueError(f"{prefix}{refused}") from None
        made |= {f"{prefix}{name}": one for name, one in new.items()}
    return made


def convert_model(
    model: LanguageModel,
    num_kv_heads: int,
    method: str = "subspace",
    *,
    regroup: bool = False,
    moments: Sequence[Tensor] | None = None,
    seed: int = 0,
) -> LanguageModel:
    """Return a model with fewer KV heads; the given one stays as it is.

    Args:
        model: any that `load` or `LanguageModel` makes.
        num_kv_heads, method, regroup, moments, seed: as in `convert_state_dict`.

    Raises:
        ValueError: as in `convert_state_dict`.
    """
    check_kind(LanguageModel, "Give what load(folder) returns.", model=model)
    config, weight = model.config, model.embedding.weight
    state = convert_state_dict(
        {name: one.cpu() for name, one in model.state_dict().items()},
        num_kv_heads,
        method,
        num_heads=config.num_heads,
        head_dim=config.head_dim,
        rotary_dim=rotary_dims(config, model.variant),
        regroup=regroup,
        moments=moments,
        seed=seed,
    )
    first: Any = model.layers[0]
    new = LanguageModel(
        config.with_kv_heads(num_kv_heads),
        model.variant,
        backend=first.attention.backend,
        device=weight.device,
        dtype=weight.dtype,
    )
    new.load_state_dict(state)
    return new.train(model.training)


def rotary_dims(config: ModelConfig, variant: Variant) -> list[int]:
    """Return for each layer how many elements of a head turn.

    Args:
        config: of the model.
        variant: of the model.
    """
    ropes = ropes_of_layers(config, variant)
    return [0 if rope is None else rope.rotary_dim for rope in ropes]


def attention_of(state_dict: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights of one attention that depend on its heads, by what follows its prefix.

    Args:
        state_dict: of the model.
        prefix: such as "layers.0.attention.".
    """
    inside = (name.removeprefix(prefix) for name in state_dict if name.startswith(prefix))
    return {name: state_dict[f"{prefix}{name}"] for name in inside if _OF_HEADS.fullmatch(name)}


def checked_moments(moments: Any, num_layers: int, width: int) -> list[Any]:
    """Return the moments of each layer, None of each where there are none.

    Args:
        moments: as in `convert_state_dict`.
        num_layers: layers of attention.
        width: d_model + 1.

    Raises:
        ValueError: there are not as many, or one is not a finite (d_model + 1, d_model + 1).
    """
    if moments is None:
        return [None] * num_layers
    known = _as_many(moments, num_layers, "moments")
    for number, one in enumerate(known):
        square = isinstance(one, Tensor) and one.shape == (width, width)
        if not square or not one.is_floating_point() or not one.isfinite().all():
            what = (
                f"of shape {tuple(one.shape)}, {one.dtype}"
                if isinstance(one, Tensor)
                else shown(one)
            )
            raise ValueError(
                f"moments[{number}] is {what}: finite fractions of shape ({width}, {width}) are "
                "needed. Give what second_moments(model, batches) returns."
            )
    return known


def _rotary_dims(rotary_dim: Any, num_layers: int, head_dim: int) -> list[int]:
    one = index(rotary_dim)
    each = [one] * num_layers if one is not None else _as_many(rotary_dim, num_layers, "rotary_dim")
    for value in each:
        check_whole(0, rotary_dim=value)
        if value % 2 or value > head_dim:
            raise ValueError(
                f"rotary_dim={value} of head_dim={head_dim}: RoPE turns elements of a head in "
                f"pairs. Give an even number from 0 to {head_dim}."
            )
    return [int(value) for value in each]


def _as_many(values: Any, number: int, name: str) -> list[Any]:
    each = several(values, name, "one for each layer")
    if len(each) != number:
        raise ValueError(
            f"{name} has {len(each)} entries for {number} layers of attention. Give one for each."
        )
    return each
