"""Tensors, layers and caches that do not fit: each is refused by name, none by accident."""

import pytest
import torch
from refusing import assert_refused

from gqa_lib.attention import (
    DynamicScaling,
    GroupedQueryAttention,
    LinearScaling,
    Llama3Scaling,
    Rope,
    YarnScaling,
    grouped_query_attention,
    rotate,
)
from gqa_lib.cache import BlockAllocator, KVCache, ModelCache, PagedKVCache
from gqa_lib.configs import ModelConfig
from gqa_lib.kernels import causal_mask, choose_backend, decode_attention
from gqa_lib.model import LanguageModel, Sampling, Variant, generate, load, load_tokenizer
from gqa_lib.serving import Engine

SIZES = {"num_layers": 1, "num_heads": 4, "num_kv_heads": 2, "head_dim": 4, "d_model": 16}
CONFIG = ModelConfig("toy", **SIZES, d_ff=24, vocab_size=11)
MODEL = LanguageModel(CONFIG)
Q, K = torch.zeros(2, 4, 3, 8), torch.zeros(2, 2, 5, 8)
ONE = Q[:, :, :1]
X = torch.zeros(2, 3, 16)


def attend(q=Q, k=K, v=K, causal=True, **other):
    return grouped_query_attention(q, k, v, causal, **other)


def decode(q=ONE, k=K, v=K, lengths=None, table=None, backend="auto"):
    return decode_attention(q, k, v, lengths, table, backend)


def layer(**other):
    sizes = {"d_model": 16, "num_heads": 4, "num_kv_heads": 2}
    return GroupedQueryAttention(**(sizes | other))


def contiguous(**other):
    sizes = {"batch_size": 2, "num_kv_heads": 2, "max_seq_len": 6, "head_dim": 8}
    return KVCache(**(sizes | other))


def paged(**other):
    sizes = {"batch_size": 2, "num_kv_heads": 2, "num_blocks": 6, "head_dim": 8, "block_size": 4}
    return PagedKVCache(**(sizes | other))


def filled(cache):
    cache.append(K, K)
    return cache


def engine(num_blocks=8, **other):
    return Engine(MODEL, num_blocks, **other)


def write(prompts=((1, 2),), max_new_tokens=1, **other):
    return generate(MODEL, prompts, max_new_tokens, **other)


ATTENTION = [
    ("q=None", lambda: attend(q=None)),
    ("k=[[1.0]]", lambda: attend(k=[[1.0]])),
    ("v='v'", lambda: attend(v="v")),
    ("q (4, 3, 8)", lambda: attend(q=Q[0])),
    ("v (2, 2, 4, 8)", lambda: attend(v=K[:, :, :4])),
    ("k (1, 2, 5, 8)", lambda: attend(k=K[:1], v=K[:1])),
    ("k (2, 2, 5, 4)", lambda: attend(k=K[..., :4], v=K[..., :4])),
    ("num_kv_heads=3", lambda: attend(k=torch.zeros(2, 3, 5, 8), v=torch.zeros(2, 3, 5, 8))),
    ("num_kv_heads=0", lambda: attend(k=K[:, :0], v=K[:, :0])),
    ("float64", lambda: attend(q=Q.double())),
    ("int64", lambda: attend(Q.long(), K.long(), K.long())),
    ("complex64", lambda: attend(Q.cfloat(), K.cfloat(), K.cfloat())),
    ("bool", lambda: attend(Q.bool(), K.bool(), K.bool())),
    ("meta", lambda: attend(k=K.to("meta"))),
    ("T=3 queries over S=2", lambda: attend(k=K[:, :, :2], v=K[:, :, :2])),
    ("window=0", lambda: attend(window=0)),
    ("window=2.0", lambda: attend(window=2.0)),
    ("window=True", lambda: attend(window=True)),
    ("window=2 with causal=False", lambda: attend(causal=False, window=2)),
    ("backend 'nope'", lambda: attend(backend="nope")),
    ("backend None", lambda: attend(backend=None)),
    ("backend ['native']", lambda: attend(backend=["native"])),
    ("backend 'native' cannot", lambda: attend(backend="native")),
    ("q=None", lambda: choose_backend(None, K, K)),
    ("num_kv_heads=0", lambda: choose_backend(Q, K[:, :0], K[:, :0])),
    ("num_queries=-1", lambda: causal_mask(-1, 4)),
    ("num_keys='4'", lambda: causal_mask(2, "4")),
    ("num_keys=2", lambda: causal_mask(3, 2)),
    ("window=0", lambda: causal_mask(2, 4, window=0)),
    ("q=7", lambda: decode(q=7)),
    ("q (2, 4, 3, 8)", lambda: decode(q=Q)),
    ("lengths=[5, 5]", lambda: decode(lengths=[5, 5])),
    ("lengths[1]=6", lambda: decode(lengths=torch.tensor([5, 6]))),
    ("lengths[0]=-1", lambda: decode(lengths=torch.tensor([-1, 5]))),
    ("lengths is torch.float32", lambda: decode(lengths=torch.tensor([5.0, 5.0]))),
    ("lengths is torch.int64 (3,)", lambda: decode(lengths=torch.tensor([1, 2, 3]))),
    ("block_table='t'", lambda: decode(table="t")),
    ("page 2", lambda: decode(table=torch.tensor([[0], [2]]))),
    ("d_model=0", lambda: layer(d_model=0)),
    ("d_model=-16", lambda: layer(d_model=-16)),
    ("d_model='16'", lambda: layer(d_model="16")),
    ("d_model=18", lambda: layer(d_model=18)),
    ("num_heads=0", lambda: layer(num_heads=0)),
    ("num_heads=True", lambda: layer(num_heads=True)),
    ("num_heads=4.0", lambda: layer(num_heads=4.0)),
    ("num_kv_heads=3", lambda: layer(num_kv_heads=3)),
    ("num_kv_heads='2'", lambda: layer(num_kv_heads="2")),
    ("head_dim=0", lambda: layer(head_dim=0)),
    ("head_dim=4.0", lambda: layer(head_dim=4.0)),
    ("rope='yes'", lambda: layer(rope="yes")),
    ("head_dim=6", lambda: layer(rope=Rope(6))),
    ("qk_norm='all'", lambda: layer(qk_norm="all")),
    ("qk_norm=[]", lambda: layer(qk_norm=[])),
    ("norm_eps='tiny'", lambda: layer(norm_eps="tiny", qk_norm=True)),
    ("norm_eps=-1", lambda: layer(norm_eps=-1, qk_norm=True)),
    ("window=-1", lambda: layer(window=-1)),
    ("backend 'nope'", lambda: layer(backend="nope")),
    ("x (2, 3, 15)", lambda: layer()(X[..., :15])),
    ("x (3, 16)", lambda: layer()(X[0])),
    ("x=None", lambda: layer()(None)),
    ("x=[[1.0]]", lambda: layer()([[1.0]])),
    ("int64", lambda: layer()(X.long())),
    ("float64", lambda: layer()(X.double())),
    ("cache=7", lambda: layer()(X, cache=7)),
    ("num_new=[3, 3] without", lambda: layer()(X, num_new=[3, 3])),
    ("num_new=[9, 0]", lambda: layer()(X, contiguous(head_dim=4), num_new=[9, 0])),
    ("k has shape (2, 2, 3, 4)", lambda: layer()(X, contiguous())),
]
ROPE = [
    ("head_dim=0", lambda: Rope(0)),
    ("head_dim=7", lambda: Rope(7)),
    ("head_dim='8'", lambda: Rope("8")),
    ("head_dim=8.0", lambda: Rope(8.0)),
    ("head_dim=None", lambda: Rope(None)),
    ("base=0", lambda: Rope(8, 0)),
    ("base=nan", lambda: Rope(8, float("nan"))),
    ("base='1e4'", lambda: Rope(8, "1e4")),
    ("scaling=2.0", lambda: Rope(8, scaling=2.0)),
    ("rotary_dim=10", lambda: Rope(8, rotary_dim=10)),
    ("rotary_dim='4'", lambda: Rope(8, rotary_dim="4")),
    ("positions=[0, 1, 2]", lambda: Rope(8).rotate([0, 1, 2], Q)),
    ("positions are torch.float32", lambda: Rope(8).rotate(torch.zeros(3), Q)),
    ("positions go down to -1", lambda: Rope(8).rotate(torch.tensor([-1, 0, 1]), Q)),
    ("positions has shape (4,)", lambda: Rope(8).rotate(torch.arange(4), Q)),
    ("head_dim=8", lambda: Rope(4).rotate(torch.arange(3), Q)),
    ("no tensor", lambda: Rope(8).rotate(torch.arange(3))),
    ("tensor='q'", lambda: Rope(8).rotate(torch.arange(3), "q")),
    ("x=None", lambda: rotate(None, torch.arange(3))),
    ("positions=3", lambda: rotate(Q, 3)),
    ("head_dim=7", lambda: rotate(Q[..., :7], torch.arange(3))),
    ("base=-1", lambda: rotate(Q, torch.arange(3), -1)),
    ("factor=0", lambda: LinearScaling(0)),
    ("factor='2'", lambda: LinearScaling("2")),
    ("trained_len=None", lambda: DynamicScaling(2.0, None)),
    ("dim=2", lambda: Rope(2, scaling=DynamicScaling(2.0, 8))),
    ("low_freq_factor=4.0", lambda: Llama3Scaling(8.0, 8192, 4.0, 1.0)),
    ("low_freq_factor='1'", lambda: Llama3Scaling(8.0, 8192, "1", 4.0)),
    ("beta_fast=1.0", lambda: YarnScaling(4.0, 4096, 1.0, 32.0)),
    ("attention_factor=-1", lambda: YarnScaling(4.0, 4096, attention_factor=-1)),
]
CACHES = [
    ("batch_size=-1", lambda: contiguous(batch_size=-1)),
    ("batch_size='2'", lambda: contiguous(batch_size="2")),
    ("num_kv_heads=2.0", lambda: contiguous(num_kv_heads=2.0)),
    ("num_kv_heads=0", lambda: contiguous(num_kv_heads=0)),
    ("max_seq_len=None", lambda: contiguous(max_seq_len=None)),
    ("head_dim=0", lambda: contiguous(head_dim=0)),
    ("dtype='float16'", lambda: contiguous(dtype="float16")),
    ("k=None", lambda: contiguous().append(None, K)),
    ("k has shape (2, 2, 5, 4)", lambda: contiguous().append(K[..., :4], K[..., :4])),
    ("v has 4", lambda: contiguous().append(K, K[:, :, :4])),
    ("torch.float64", lambda: contiguous().append(K.double(), K.double())),
    ("num_new=[5]", lambda: contiguous().append(K, K, [5])),
    ("num_new=5", lambda: contiguous().append(K, K, 5)),
    ("num_new=[5, 'x']", lambda: contiguous().append(K, K, [5, "x"])),
    ("max_seq_len=6", lambda: filled(contiguous()).append(K, K)),
    ("num_new=[6, 5]", lambda: contiguous().append(K, K, [6, 5])),
    ("T=3 queries", lambda: contiguous().attend(Q)),
    ("q=None", lambda: filled(contiguous()).attend(None)),
    ("num_new=-1", lambda: contiguous().positions(-1)),
    ("num_new='1'", lambda: contiguous().positions("1")),
    ("index=[0]", lambda: contiguous().reorder([0])),
    ("index=[0, 2]", lambda: contiguous().reorder([0, 2])),
    ("index=None", lambda: contiguous().reorder(None)),
    ("length=[-1, -1]", lambda: contiguous().truncate(-1)),
    ("length=[7, 7]", lambda: contiguous().truncate(7)),
    ("length=['1', '1']", lambda: contiguous().truncate("1")),
    ("batch_size=-1", lambda: paged(batch_size=-1)),
    ("batch_size=2.0", lambda: paged(batch_size=2.0)),
    ("num_kv_heads='2'", lambda: paged(num_kv_heads="2")),
    ("head_dim=-8", lambda: paged(head_dim=-8)),
    ("num_blocks=0", lambda: paged(num_blocks=0)),
    ("num_blocks=None", lambda: paged(num_blocks=None)),
    ("block_size=0", lambda: paged(block_size=0)),
    ("block_size='16'", lambda: paged(block_size="16")),
    ("dtype=7", lambda: paged(dtype=7)),
    ("v='v'", lambda: paged().append(K, "v")),
    ("new tokens in rows", lambda: filled(filled(paged())).append(K, K)),
    ("index=[0, 0, 0]", lambda: paged().reorder([0, 0, 0])),
    ("length=[1]", lambda: paged().truncate([1])),
    ("num_new=2.0", lambda: paged().positions(2.0)),
    ("block 0 is free", lambda: BlockAllocator(2).free(0)),
    ("block 2 does not exist", lambda: BlockAllocator(2).share(2)),
    ("block 'a' does not exist", lambda: BlockAllocator(2).references("a")),
    ("num_blocks='2'", lambda: BlockAllocator("2")),
    ("layers=()", lambda: ModelCache(())),
    ("layers=7", lambda: ModelCache(7)),
]
MODELS = [
    ("config='llama'", lambda: LanguageModel("llama")),
    ("vocab_size", lambda: LanguageModel(ModelConfig("toy", **SIZES, d_ff=24))),
    ("variant='qwen'", lambda: LanguageModel(CONFIG, "qwen")),
    ("backend 'nope'", lambda: LanguageModel(CONFIG, backend="nope")),
    ("batch_size='2'", lambda: MODEL.new_cache("2", 5)),
    ("max_seq_len=-1", lambda: MODEL.new_cache(2, -1)),
    ("tokens are [[1]]", lambda: MODEL([[1]])),
    ("tokens are torch.float32", lambda: MODEL(torch.zeros(1, 2))),
    ("tokens[0, 1]=11", lambda: MODEL(torch.tensor([[1, 11]]))),
    ("a int for a model of 1", lambda: MODEL(torch.tensor([[1]]), 7)),
    ("activation='relu6'", lambda: Variant(activation="relu6")),
    ("norm_eps=-1", lambda: Variant(norm_eps=-1)),
    ("norm_eps='0'", lambda: Variant(norm_eps="0")),
    ("qk_norm='all'", lambda: Variant(qk_norm="all")),
    ("norms='nowhere'", lambda: Variant(norms="nowhere")),
    ("rope='yes'", lambda: Variant(rope="yes")),
    ("embedding_scale=None", lambda: Variant(embedding_scale=None)),
    ("no prompt", lambda: write(())),
    ("no prompt", lambda: write(None)),
    ("prompts[0] has no token", lambda: write(([],))),
    ("prompts[0][0]=11", lambda: write(([11],))),
    ("prompts[0]=3", lambda: write((3,))),
    ("prompts[0][0]='h'", lambda: write(("hello",))),
    ("max_new_tokens=-1", lambda: write(max_new_tokens=-1)),
    ("max_new_tokens=1.5", lambda: write(max_new_tokens=1.5)),
    ("temperature='hot'", lambda: write(temperature="hot")),
    ("top_k=0", lambda: write(top_k=0)),
    ("top_p=nan", lambda: write(top_p=float("nan"))),
    ("seed=-1", lambda: write(seed=-1)),
    ("stop=3", lambda: write(stop=3)),
    ("prefill_chunk=0", lambda: write(prefill_chunk=0)),
    ("model='llama'", lambda: generate("llama", [[1]], 1)),
    ("temperature=-1", lambda: Sampling(-1)),
    ("path=7", lambda: load(7)),
    ("path=None", lambda: load_tokenizer(None)),
    ("model='llama'", lambda: Engine("llama", 8)),
    ("num_blocks=None", lambda: engine(None)),
    ("num_blocks=0", lambda: engine(0)),
    ("num_blocks='8'", lambda: engine("8")),
    ("memory_bytes='1GB'", lambda: engine(None, memory_bytes="1GB")),
    ("memory_bytes=1 ", lambda: engine(None, memory_bytes=1)),
    ("block_size=0", lambda: engine(block_size=0)),
    ("max_num_seqs=0", lambda: engine(max_num_seqs=0)),
    ("max_num_batched_tokens='1'", lambda: engine(max_num_batched_tokens="1")),
    ("a prompt of 0", lambda: engine().add([])),
    ("prompt=None", lambda: engine().add(None)),
    ("prompt[1]=11", lambda: engine().add([1, 11])),
    ("max_new_tokens=0", lambda: engine().add([1], 0)),
    ("which need", lambda: engine(1).add([1], 99)),
    ("request=7", lambda: engine().cancel(7)),
]
ROWS = ATTENTION + ROPE + CACHES + MODELS


@pytest.mark.parametrize(("phrase", "call"), ROWS)
def test_it_is_refused(phrase, call):
    assert_refused(call, phrase)
