"""A model over several real processes computes what one process does."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import ranks_at_work
import torch
from ranks_at_work import CASES, PROMPTS, SIZES, VOCAB, compare, fail, model_of

from gqa_lib.configs import ModelConfig
from gqa_lib.cost import sequence_parallel_bytes, tensor_parallel_bytes
from gqa_lib.kernels import attention_reference
from gqa_lib.model import generate
from gqa_lib.model.parallel import (
    attend_part,
    join_torchrun,
    merge_parts,
    rank_config,
    rank_heads,
    run_ranks,
    shard_model,
)

CLOSE = 1e-5


@pytest.fixture(scope="module")
def found():
    """What each of four ranks found, started once."""
    return run_ranks(compare, 4, timeout_s=300)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("case", CASES)
def test_logits_and_tokens_are_those_of_one_process(found, case, size):
    parts = [rank[f"{case}, {size}"] for rank in found if f"{case}, {size}" in rank]
    assert len(parts) == size
    for one in parts:
        assert len(one["errors"]) == 7
        assert max(one["errors"]) < CLOSE
        whole, by_heads, by_tokens = one["greedy"]
        assert whole == by_heads == by_tokens
        alone, together = one["drawn"]
        assert alone == together != whole
        assert (one["greedy"], one["drawn"]) == (parts[0]["greedy"], parts[0]["drawn"])


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("case", CASES)
def test_a_cache_split_by_heads_shrinks_up_to_num_kv_heads_and_by_tokens_further(found, case, size):
    whole, by_heads, by_tokens = found[size - 1][f"{case}, {size}"]["nbytes"]
    assert by_heads == whole // min(size, CASES[case][0])
    assert by_tokens == whole // size


@pytest.mark.parametrize(("size", "share"), [(1, 1), (2, 1 / 2), (4, 1 / 4)])
def test_weights_are_split_but_for_norms(found, size, share):
    assert found[size - 1][f"MHA, {size}"]["weights"] == pytest.approx(share, abs=0.02)
    copied = found[size - 1][f"MQA, {size}"][
        "weights"
    ]  # two projections of one KV head in each rank
    assert copied >= found[size - 1][f"MHA, {size}"]["weights"]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_what_is_sent_is_what_the_formulas_count(found, size):
    config = ModelConfig("tiny", num_kv_heads=2, vocab_size=VOCAB, **SIZES)
    (count, sent), (merges, merged) = found[size - 1][f"messages, {size}"]
    assert (count, merges) == (2 * 2 + 1, 2)
    a_layer = (sent - 4 * VOCAB) / 2  # what is left without the logits
    assert tensor_parallel_bytes(config, size, 4) == 2 * (size - 1) / size * a_layer
    assert sequence_parallel_bytes(config, size) == (size - 1) * merged / 2


def test_an_engine_has_the_blocks_of_the_rank_with_the_fewest(found):
    own = [rank["engine"]["own"] for rank in found]
    assert sorted(own)[0] < sorted(own)[1]
    for rank in found:
        assert rank["engine"]["num_blocks"] == min(own)
        # of each of 2 layers K and V: 4 tokens of a head of 8 in float32
        assert rank["engine"]["block_bytes"] == 2 * 2 * 4 * 8 * 4
        assert rank["engine"]["outputs"] == rank["engine"]["alone"]


def test_half_precision_is_summed_too(found):
    assert max(rank["bfloat16"] for rank in found) < 0.03


def test_a_sequence_split_over_ranks_is_attended_to_as_a_whole(found):
    q, k, v = ranks_at_work.one_sequence()
    for rank in found:
        split, nothing, reordered = rank["split"]
        assert (split - attention_reference(q, k, v)).abs().max() < 1e-6
        assert nothing.equal(torch.zeros_like(q))
        for b, source, kept in ((0, 1, 2), (1, 0, 7)):
            keys, values = (torch.cat((t[source, :, :kept], t[b, :, :1]), 1)[None] for t in (k, v))
            expected = attention_reference(q[b : b + 1], keys, values)
            assert (reordered[b] - expected[0]).abs().max() < 1e-6


def test_partial_attention_of_masked_and_missing_keys():
    q, k, v = ranks_at_work.one_sequence()
    sees = torch.arange(9)[None, None] < torch.tensor([4, 0])[:, None, None]  # (B, T, S)
    outs, lses = zip(attend_part(q, k, v, sees), attend_part(q, k, v, ~sees), strict=True)
    whole = merge_parts(torch.stack(outs), torch.stack(lses))
    assert (whole - attention_reference(q, k, v)).abs().max() < 1e-6
    assert outs[0][1].equal(torch.zeros(8, 1, 8))
    assert lses[0][1].eq(-torch.inf).all()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("killed", "rank 1 of 2 was killed by signal 9 before it returned. The other ranks were"),
        ("raises", "rank 1 of 2 failed: ValueError: no such head. The other ranks were ended."),
        ("exits", "rank 1 of 2 failed: SystemExit: 3. The other ranks were ended."),
        ("nested", "rank 1 of 2 failed: RuntimeError: run_ranks was called in the process "),
        ("late", "after timeout_s=2 rank 0, 1 of 2 had not ended, so all were."),
    ],
)
def test_a_rank_that_fails_ends_all_with_a_sentence(how, message):
    with pytest.raises(RuntimeError, match=re.escape(message)) as error:
        run_ranks(fail, 2, how, timeout_s=2 if how == "late" else 60)
    assert "\n" not in str(error.value)
    assert (how in ("raises", "exits", "nested")) == any(
        "in fail" in note for note in getattr(error.value, "__notes__", [])
    )


def test_what_a_rank_cannot_send_back_is_said():
    with pytest.raises(RuntimeError, match="rank 0 of 1 failed: its result, a function, cannot"):
        run_ranks(ranks_at_work.unsendable, 1, timeout_s=60)


def test_ranks_end_with_the_process_that_started_them_also_when_it_is_killed(tmp_path):
    script = tmp_path / "starts_ranks.py"
    script.write_text(
        "from ranks_at_work import show_and_wait\n"
        "from gqa_lib.model.parallel import run_ranks\n"
        'if __name__ == "__main__":\n'
        "    run_ranks(show_and_wait, 2)\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=paths())
    pids = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 30
    while any(map(is_running, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def paths():
    """The environment of a process that imports what this one does."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:  # it may end between the two
        return False


SCRIPT = """
import sys, torch
from ranks_at_work import PROMPTS, model_of
from gqa_lib.model import generate
from gqa_lib.model.parallel import join_torchrun, shard_model
with join_torchrun() as rank:
    out = generate(shard_model(model_of("GQA")), PROMPTS, 5)
    open(f"{sys.argv[1]}/{rank}", "w").write(repr(out))
"""


@pytest.mark.slow
def test_torchrun_starts_ranks_too(tmp_path):
    script = tmp_path / "under_torchrun.py"
    script.write_text(SCRIPT)
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        script,
        tmp_path,
    ]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=paths())
    assert done.returncode == 0, done.stderr
    said = {(tmp_path / str(rank)).read_text() for rank in range(2)}
    assert said == {repr(generate(model_of("GQA"), PROMPTS, 5))}


def test_a_process_that_torchrun_started_joins_its_group():
    assert run_ranks(ranks_at_work.joins, 1, timeout_s=60) == [(0, 1.0)]


def test_a_process_that_torchrun_did_not_start_says_so():
    with (
        pytest.raises(RuntimeError, match=r"RANK, .* not set .*torchrun --nproc-per-node=2"),
        join_torchrun(),
    ):
        pass


def test_a_shard_without_a_group_says_what_to_call():
    with pytest.raises(RuntimeError, match=r"belongs to no group of ranks.*run_ranks"):
        shard_model(model_of("GQA"))


@pytest.mark.parametrize(
    ("sizes", "heads"),
    [
        ((8, 8, 3, 4), (range(6, 8), range(6, 8))),
        ((8, 4, 1, 2), (range(4, 8), range(2, 4))),
        ((8, 2, 2, 4), (range(4, 6), range(1, 2))),  # copied to two ranks each
        ((8, 2, 1, 4), (range(2, 4), range(0, 1))),
        ((8, 1, 7, 8), (range(7, 8), range(0, 1))),
        ((6, 3, 0, 1), (range(0, 6), range(0, 3))),
    ],
)
def test_heads_of_a_rank(sizes, heads):
    assert rank_heads(*sizes) == heads


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rank_heads(8, 8, 0, 3), "num_heads=8 cannot be divided over num_ranks=3"),
        (lambda: rank_heads(12, 6, 0, 4), "num_kv_heads=6 can neither be divided over num_ranks=4"),
        (lambda: rank_heads(12, 6, 0, 4), "Choose num_ranks from 1, 2, 3, 6, 12."),
        (lambda: rank_heads(8, 2, 4, 4), "rank=4 of num_ranks=4"),
        (lambda: rank_heads(8, 2, 0, 0), "num_ranks=0"),
        (lambda: rank_config(model_of("MHA").config, 8), ""),
        (
            lambda: rank_config(ModelConfig("m", 2, 8, 8, 4, 32, d_ff=20), 8),
            "d_ff=20 cannot be divided over num_ranks=8",
        ),
        (lambda: run_ranks(3, 2), "fn=3"),
        (lambda: run_ranks(fail, 0), "num_ranks=0"),
        (lambda: run_ranks(fail, 2, backend="mpi"), "backend='mpi'"),
        (lambda: run_ranks(fail, 2, timeout_s=0), "timeout_s=0"),
        (lambda: run_ranks(fail, 99, backend="nccl"), "NCCL wants one for each rank"),
        (lambda: run_ranks(lambda rank: 0, 2), "cannot be sent to other processes"),
        (lambda: shard_model(3), "model=3"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_numbers(call, message):
    if not message:
        assert call().num_kv_heads == 1
        return
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
