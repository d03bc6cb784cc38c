"""Continuing prompts: as transformers does, as each prompt alone, and token by token."""

import re
from itertools import islice

import numpy as np
import pytest
import torch
from checkpoints import save, theirs
from serving_cases import VOCAB, Solo, tiny_model

from gqa_lib.cache import KVCache, ModelCache
from gqa_lib.model import LanguageModel, generate, load, stream

MODEL = tiny_model()
SOLO = Solo(MODEL)
LENGTHS = (9, 1, 4, 7)  # of prompts; beyond the model's window
SAMPLED = {"temperature": 0.9, "top_k": 20, "top_p": 0.95}
FAMILIES = {
    "llama": {},
    "qwen3": {"head_dim": 10},
    "gemma3_text": {"sliding_window": 7, "num_hidden_layers": 7, "num_key_value_heads": 1},
    "smollm3": {"num_hidden_layers": 5},
    "olmo2": {"num_key_value_heads": 3},
}


def prompts(lengths=LENGTHS, vocab_size=VOCAB):
    rng = torch.Generator().manual_seed(5)
    return [torch.randint(3, vocab_size, (n,), generator=rng).tolist() for n in lengths]


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_as_transformers_token_for_token(family, tmp_path):
    save(tmp_path, family, **FAMILIES[family])
    reference, ours = theirs(tmp_path), load(tmp_path, torch.float32)
    given = prompts(vocab_size=67)
    expected = []
    for prompt in given:
        ids = torch.tensor([prompt])
        out = reference.generate(
            *(ids, None, None, None, None),
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=20,
            eos_token_id=-1,
        )
        expected.append(out[0, len(prompt) :].tolist())
    assert [len(one) for one in expected] == [20] * 4
    assert len({token for one in expected for token in one}) > 8  # and not one over and over
    for chunk in (512, 3):
        assert generate(ours, given, 20, prefill_chunk=chunk) == expected


@pytest.mark.parametrize("chunk", [1, 3, 9, 100])
def test_a_batch_is_as_each_prompt_alone(chunk):
    assert generate(MODEL, prompts(), 12, prefill_chunk=chunk) == [SOLO(p, 12) for p in prompts()]
    alone = [generate(MODEL, [p], 12, seed=7 + b, **SAMPLED)[0] for b, p in enumerate(prompts())]
    assert generate(MODEL, prompts(), 12, seed=7, prefill_chunk=chunk, **SAMPLED) == alone
    assert alone != [SOLO(p, 12) for p in prompts()]


def test_seeds_differ_and_a_seed_gives_the_same_again():
    outputs = [generate(MODEL, [[1, 2]], 10, temperature=1.0, seed=s)[0] for s in (0, 1, 0, 2)]
    assert outputs[0] == outputs[2]
    assert len({tuple(one) for one in outputs}) == 3
    torch.manual_seed(99)  # which is another's
    before = torch.get_rng_state()
    assert generate(MODEL, [[1, 2]], 10, temperature=1.0)[0] == outputs[0]
    assert torch.equal(torch.get_rng_state(), before)


def test_equal_prompts_draw_numbers_of_their_own():
    first, second = generate(MODEL, [[1, 2, 3]] * 2, 12, temperature=1.0)
    assert first != second


@pytest.mark.parametrize("options", [{}, {"seed": 3, **SAMPLED}])
def test_stop_tokens_end_rows_at_different_steps(options):
    """Rows that go on must not see what is computed for those that have ended."""
    whole = generate(MODEL, prompts(), 14, **options)
    stop = {whole[0][3], whole[2][1]}
    expected = []
    for row in whole:
        end = next((i for i, token in enumerate(row) if token in stop), len(row))
        expected.append(row[: end + 1])
    assert len({len(one) for one in expected}) == 4
    assert generate(MODEL, prompts(), 14, stop=stop, **options) == expected
    assert generate(MODEL, prompts(), 14, stop=torch.tensor(list(stop)), **options) == expected
    steps = list(stream(MODEL, prompts(), 14, stop=stop, **options))
    assert len(steps) == max(map(len, expected))
    for b, row in enumerate(expected):
        assert [step[b] for step in steps] == row + [None] * (len(steps) - len(row))


def test_nothing_is_computed_once_all_have_ended():
    first = [row[0] for row in generate(MODEL, prompts(), 1)]
    with counted() as calls:
        assert generate(MODEL, prompts(), 100, stop=first) == [[token] for token in first]
    assert calls == ["prompt"]


class counted:
    """Note what goes through MODEL: prompts, and tokens one at a time."""

    def __enter__(self):
        calls, hidden = [], LanguageModel.hidden

        def spy(model, tokens, *rest):
            calls.append("prompt" if tokens.shape[1] > 1 else "token")
            return hidden(model, tokens, *rest)

        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(LanguageModel, "hidden", spy)
        return calls

    def __exit__(self, *_):
        self.patch.undo()


def test_a_stream_computes_a_token_when_it_is_asked_for():
    with counted() as calls:
        steps = stream(MODEL, prompts(), 12, prefill_chunk=5)
        assert calls == []
        begun = list(islice(steps, 1))
        assert calls == ["prompt"] * 2
        begun += islice(steps, 3)
        assert calls == ["prompt"] * 2 + ["token"] * 3
    begun += steps
    assert [list(row) for row in zip(*begun, strict=True)] == generate(MODEL, prompts(), 12)


def test_a_stream_that_is_left_harms_no_other():
    streams = [stream(MODEL, [p], 8) for p in prompts()]
    taken = [[] for _ in streams]
    for round_ in range(8):  # one of them is closed halfway
        for b, one in enumerate(streams):
            if b != 2 or round_ < 4:
                taken[b] += next(one)
    streams[2].close()
    assert taken[2] == SOLO(prompts()[2], 8)[:4]
    assert [taken[b] for b in (0, 1, 3)] == [SOLO(prompts()[b], 8) for b in (0, 1, 3)]


@torch.no_grad()
def test_a_beam_search_finds_what_it_finds_without_a_cache():
    """Rows are reordered at each step; one that was not is continued from another's past."""
    width, length, prompt = 3, 7, prompts()[0]

    def search(logits_of, reorder):
        beams, scores = [list(prompt)], torch.zeros(1, dtype=torch.float64)
        for _ in range(length):
            total = scores[:, None] + logits_of(beams).log_softmax(-1)  # (beams, V)
            scores, best = total.flatten().topk(width)
            sources = (best // VOCAB).tolist()
            beams = [[*beams[b], int(t)] for b, t in zip(sources, best % VOCAB, strict=True)]
            reorder(sources)
        return beams, scores

    cache = MODEL.new_cache(width, len(prompt) + length)
    origins = []

    def cached(beams):
        new = beams * (width // len(beams)) if len(beams) == 1 else [beam[-1:] for beam in beams]
        return MODEL(torch.tensor(new), cache)[: len(beams), -1]

    def reorder(sources):
        origins.append(sources)
        cache.reorder(sources)

    found, scores = search(cached, reorder)
    whole, whole_scores = search(lambda b: MODEL(torch.tensor(b))[:, -1], lambda _: None)
    assert found == whole
    assert torch.allclose(scores, whole_scores)
    assert any(one != sorted(set(one)) for one in origins[1:]), "no row was moved or left out"


def test_no_new_token_and_one():
    assert generate(MODEL, prompts(), 0) == [[], [], [], []]
    assert list(stream(MODEL, prompts(), 0)) == []
    assert generate(MODEL, prompts(), 1) == [SOLO(p, 1) for p in prompts()]


def test_the_cache_keeps_what_is_needed_and_no_more(monkeypatch):
    """Of the last token of a row nobody needs the key, and a row that has ended gets no more."""
    caches, new_cache = [], LanguageModel.new_cache

    def spy(model, *sizes):
        caches.append((sizes, new_cache(model, *sizes)))
        return caches[-1][1]

    monkeypatch.setattr(LanguageModel, "new_cache", spy)
    whole = generate(MODEL, prompts(), 6)
    outputs = generate(MODEL, prompts(), 6, stop=[whole[0][3], whole[2][1]])
    assert len({len(row) for row in outputs}) > 2
    for (sizes, cache), rows in zip(caches, (whole, outputs), strict=True):
        assert sizes == (4, 9 + 6 - 1)
        needed = [n + len(row) - 1 for n, row in zip(LENGTHS, rows, strict=True)]
        assert cache.lengths.tolist() == needed


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    model = tiny_model(dtype)
    outputs = generate(model, prompts(), 6, temperature=0.8)
    assert [len(one) for one in outputs] == [6] * 4


def test_prompts_may_come_in_any_kind():
    rows = [[1, 2, 3], [4, 5, 6]]
    expected = generate(MODEL, rows, 3)
    kinds = (tuple, torch.tensor, np.array, iter)
    assert [generate(MODEL, kind(rows), 3) for kind in kinds] == [expected] * 4
    mixed = [torch.tensor(rows[0]), np.array(rows[1], dtype=np.uint8)]
    assert generate(MODEL, mixed, np.int64(3), prefill_chunk=np.int32(2)) == expected


def test_a_bar_shows_on_stderr_and_changes_nothing(capsys):
    whole = generate(MODEL, prompts(), 5)
    assert capsys.readouterr() == ("", "")
    assert generate(MODEL, prompts(), 5, progress=True) == whole
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "5/5" in shown.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there is no prompt"),
        (7, "there is no prompt"),
        ([[1, 2], []], "prompts[1] has no token"),
        ([1, 2], "prompts[0]=1 is not a token"),
        ("ab", "prompts[0][0]='a' is not a token"),
        ([[1], [2, VOCAB]], f"prompts[1][1]={VOCAB} is not a token: the model has {VOCAB}"),
        ([[-1]], "prompts[0][0]=-1"),
        ([[10**30]], "prompts[0][0]=1000000"),
        ([[2.0]], "prompts[0][0]=2.0"),
        ([[True]], "prompts[0][0]=True"),
        (torch.tensor([[True]]), "prompts[0][0]=True"),
        ([[float("nan")]], "prompts[0][0]=nan"),
        ([None], "prompts[0]=None"),
        (torch.ones(1, 2, 3, dtype=torch.int64), "prompts[0][0]=[1, 1, 1]"),
    ],
)
def test_what_is_not_a_prompt_is_refused(given, message):
    refused(message, lambda: generate(MODEL, given, 3))
    refused(message, lambda: stream(MODEL, given, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": -1}, "max_new_tokens=-1"),
        ({"max_new_tokens": 2.0}, "max_new_tokens=2.0"),
        ({"max_new_tokens": True}, "max_new_tokens=True"),
        ({"prefill_chunk": 0}, "prefill_chunk=0"),
        ({"prefill_chunk": "8"}, "prefill_chunk='8'"),
        ({"stop": [VOCAB]}, f"stop[0]={VOCAB} is not a token"),
        ({"stop": 3}, "stop=3 is not a token"),
        ({"stop": [None]}, "stop[0]=None"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**63}, "seed=9223372036854775808"),
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_p": 0}, "top_p=0"),
    ],
)
def test_numbers_that_are_none_are_refused_when_a_stream_is_asked_for(options, message):
    options = {"max_new_tokens": 3, **options}
    refused(message, lambda: generate(MODEL, [[1]], **options))
    refused(message, lambda: stream(MODEL, [[1]], **options))


def test_a_cache_of_ones_own_is_filled_and_may_not_be_in_use():
    cache = MODEL.new_cache(4, 14)
    assert generate(MODEL, prompts(), 6, cache=cache) == generate(MODEL, prompts(), 6)
    assert cache.lengths.tolist() == [n + 5 for n in LENGTHS]
    refused("begins at position 0", lambda: stream(MODEL, prompts(), 6, cache=cache))
    cache.truncate(0)
    assert generate(MODEL, prompts(), 6, cache=cache) == generate(MODEL, prompts(), 6)
    few = MODEL.new_cache(3, 14)
    refused("[0, 0, 0] tokens for 4 prompts", lambda: generate(MODEL, prompts(), 6, cache=few))
    none = ModelCache([KVCache(4, 1, 14, 4) for _ in range(len(MODEL.layers) + 1)])
    refused("each layer has past tokens", lambda: generate(MODEL, prompts(), 6, cache=none))


def test_a_cache_in_use_in_a_later_layer_is_refused():
    cache, one = MODEL.new_cache(4, 14), MODEL.new_cache(4, 14).layers[0]
    k = torch.zeros_like(one.memory[0][:, :, :1])
    cache.layers[1].append(k, k)
    refused("tokens in layer 1 for 4", lambda: generate(MODEL, prompts(), 6, cache=cache))


def test_a_cache_that_another_stream_began_to_fill_is_refused():
    cache = MODEL.new_cache(4, 14)
    first, second = (stream(MODEL, prompts(), 6, cache=cache) for _ in range(2))
    tokens = [next(first)]
    refused("begins at position 0", lambda: next(second))
    assert [*tokens, *first] == list(stream(MODEL, prompts(), 6))


@pytest.mark.parametrize("options", [{}, SAMPLED])
def test_logits_that_are_not_numbers_are_refused(options):
    model = tiny_model()
    with torch.no_grad():
        model.embedding.weight[5] = torch.nan
    generate(model, [[1, 2, 3]], 1, **options)
    refused("prompt 1: the model's logits", lambda: generate(model, [[1], [2, 5]], 4, **options))
