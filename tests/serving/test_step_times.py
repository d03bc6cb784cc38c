"""Step times by two ceilings and by tables."""

from dataclasses import replace
from itertools import product

import pytest

from gqa_lib.configs import LayerKV, ModelConfig, Weights, load_model
from gqa_lib.cost import decode_step_time, state_bytes
from gqa_lib.hardware import Hardware, datasheet
from gqa_lib.serving.shapes import with_vocabulary
from gqa_lib.serving.simulator import KernelStepTime, RooflineStepTime, Work
from gqa_lib.serving.simulator.tables import Grid

SHAPE = {"num_layers": 3, "num_heads": 8, "num_kv_heads": 2, "head_dim": 16, "d_model": 100}
VOCAB, DENSE, EMBEDDING = 50, 20_000, 5_000
CONFIG = ModelConfig("toy", **SHAPE, vocab_size=VOCAB, weights=Weights(DENSE, EMBEDDING))


def decode(num, context):
    return Work(num, num * context, context, (), num)


def test_decoding_takes_what_the_cost_model_says_without_the_input_embedding():
    for flops, bandwidth in ((1e15, 1e9), (1e7, 1e15)):
        hardware = Hardware("h", flops, bandwidth, 1e9, "made up")
        step_time = RooflineStepTime(CONFIG, hardware, 2, overhead_s=0.5)
        expected = decode_step_time(CONFIG, hardware, 4, 30, 2, 2 * DENSE)
        assert step_time(decode(4, 30)) == pytest.approx(expected + 0.5)


def test_a_prompt_multiplies_its_tokens_and_reads_its_past_once():
    compute = RooflineStepTime(CONFIG, Hardware("h", 1.0, 1e15, 1e9, "made up"))
    head = VOCAB * SHAPE["d_model"]
    pairs = sum(range(6, 16))  # ten tokens after five: the first sees six, the last fifteen
    attention = 4 * SHAPE["num_layers"] * SHAPE["num_heads"] * SHAPE["head_dim"] * pairs
    expected = 2 * (DENSE - head) * 10 + 2 * head + attention
    assert compute(Work(0, 0, 0, [(10, 5)], 1)) == pytest.approx(expected)
    memory = RooflineStepTime(CONFIG, Hardware("h", 1e18, 1.0, 1e9, "made up"))
    per_token = 2 * 2 * SHAPE["num_layers"] * SHAPE["num_kv_heads"] * SHAPE["head_dim"]
    assert memory(Work(0, 0, 0, [(10, 5)], 1)) == pytest.approx(2 * DENSE + 15 * per_token)


def test_models_whose_steps_two_ceilings_do_not_tell_are_refused():
    hardware = Hardware("h", 1e12, 1e11, 1e9, "made up")
    with pytest.raises(ValueError, match="weights=None"):
        RooflineStepTime(ModelConfig("toy", **SHAPE, vocab_size=VOCAB), hardware)
    windows = ModelConfig(
        "toy", **SHAPE, vocab_size=VOCAB, weights=Weights(DENSE), windows=(None, 8, 8)
    )
    with pytest.raises(ValueError, match="read less than all of 1048576 tokens"):
        RooflineStepTime(windows, hardware)
    sparse = with_vocabulary(load_model("DeepSeek-V3.2"))
    with pytest.raises(ValueError, match="an indexer that chooses"):
        RooflineStepTime(sparse, hardware)
    # Nothing is left out of contexts that the window, or the choice, is as long as.
    assert RooflineStepTime(replace(windows, max_context=8), hardware)
    assert RooflineStepTime(replace(sparse, max_context=2048), hardware)


def test_states_are_read_and_written_for_every_sequence():
    hardware = datasheet("B200")
    for name in ("Nemotron-H-56B", "Qwen3-Next-80B-A3B", "Kimi-Linear-48B-A3B"):
        config = with_vocabulary(load_model(name))
        read, active = 2 * config.weights.touched(64), config.weights.active
        expected = decode_step_time(config, hardware, 64, 1000, 2, read, active_parameters=active)
        step_time = RooflineStepTime(config, hardware)
        assert step_time(decode(64, 1000)) == pytest.approx(expected)
        slow = RooflineStepTime(config, replace(hardware, flops_per_s=1e30))
        one, two = (slow(Work(0, 0, 0, chunks, 0)) for chunks in ([(8, 0)], [(4, 0), (4, 0)]))
        states = 2 * state_bytes(config) / hardware.bandwidth_bytes_per_s
        assert two - one == pytest.approx(states)


def test_layers_that_read_anothers_cache_read_it():
    own = LayerKV("full", 2, 16, 16)
    shares = ModelConfig("toy", **SHAPE | {"layers": (own, own, replace(own, shares=1))},
                         vocab_size=VOCAB, weights=Weights(DENSE))  # fmt: skip
    hardware = Hardware("h", 1e30, 1.0, 1e9, "made up")
    expected = decode_step_time(shares, hardware, 4, 30, 2, 2 * DENSE)
    assert RooflineStepTime(shares, hardware)(decode(4, 30)) == pytest.approx(expected)


def test_latents_are_expanded_for_prompts_and_absorbed_for_decoding():
    config = with_vocabulary(load_model("DeepSeek-V3"))
    compute = RooflineStepTime(config, Hardware("h", 1.0, 1e30, 1e9, "made up"))
    one, two = (compute(Work(0, 0, 0, [(n, 0)], 0)) for n in (1000, 2000))
    pairs = 2000 * 2001 / 2 - 2 * 1000 * 1001 / 2
    # Per head, 128 channels and 64 with RoPE for a score, 128 for a value.
    assert two - 2 * one == pytest.approx(pairs * 61 * 128 * 2 * (192 + 128), rel=1e-9)
    # A second chunk expands what the first has cached: 512 to 128 + 128 channels a head.
    later = compute(Work(0, 0, 0, [(1000, 1000)], 0))
    assert later + one - two == pytest.approx(1000 * 61 * 128 * 2 * 512 * 256, rel=1e-9)
    tokens = compute(decode(1, 2000)) - compute(decode(1, 1000))
    assert tokens == pytest.approx(1000 * 61 * 128 * 2 * (576 + 512))


def write(path, columns, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in (columns, *rows)) + "\n")
    return path


@pytest.fixture
def tables(tmp_path):
    """Attention of one layer takes 1 us a token cached and 100 us a kernel of both kinds."""
    chunks, befores, decodes, contexts = (16, 64), (0, 32), (1, 4), (10, 50)
    rows = [(c, b, 0, 0, c + b) for c, b in product(chunks, befores)]
    rows += [(0, 0, n, s, n * s) for n, s in product(decodes, contexts)]
    rows += [
        (c, b, n, s, 100 + c + b + n * s)
        for c, b, n, s in product(chunks, befores, decodes, contexts)
    ]
    names = "prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us"
    dense = [("embedding", t, 1000) for t in (1, 100)]
    dense += [("layernorm", t, 3) for t in (1, 100)]
    dense += [("qkv_proj", t, 10 + t) for t in (1, 100)]
    head = [("lm_head", n, 7 * n) for n in (1, 8)]
    return (
        write(tmp_path / "attention.csv", names, rows),
        write(tmp_path / "dense.csv", ("layer", "tokens", "time_us"), dense),
        write(tmp_path / "head.csv", ("layer", "sequences", "time_us"), head),
    )


def test_kernels_are_added_up_as_often_as_they_run(tables):
    step_time = KernelStepTime(*tables, num_layers=5, overhead_s=1.0)
    layer = 3 * 30 + 2 * 3 + (10 + 3)  # attention, two norms, a projection of three tokens
    assert step_time(decode(3, 30)) == pytest.approx(1 + 1e-6 * (5 * layer + 1000 + 7 * 3))
    work = Work(2, 60, 30, [(20, 0), (40, 16)], 3)  # the longer prompt is in the mixed kernel
    layer = (100 + 40 + 16 + 2 * 30) + 20 + 2 * 3 + (10 + 62)
    assert step_time(work) == pytest.approx(1 + 1e-6 * (5 * layer + 1000 + 7 * 3))
    assert step_time(Work(0, 0, 0, [(20, 0)], 0)) == pytest.approx(
        1 + 1e-6 * (5 * (20 + 6 + 30) + 1000)
    )
    assert step_time(Work(0, 0, 0, (), 0)) == 1.0


def test_skew_is_a_part_of_the_way_to_the_longest_sequence(tables):
    alike, unlike = (KernelStepTime(*tables, num_layers=1, skew=s) for s in (0.0, 0.25))
    work = Work(4, 4 * 20, 40, (), 4)
    assert unlike(work) - alike(work) == pytest.approx(1e-6 * 4 * 0.25 * (40 - 20))


def test_a_grid_is_linear_between_its_points_and_beyond_its_end():
    grid = Grid({(x, y): 2 * x + 3 * y + x * y for x in (0.0, 1, 4) for y in (0.0, 10)})
    for x, y in ((0.5, 5), (3, 1), (6, 12), (4, 10)):
        assert grid(x, y) == pytest.approx(2 * x + 3 * y + x * y)
    assert grid(-1, 0) == grid(0, 0)  # no time is less than at the beginning
    assert Grid({(5.0,): 3.0})(99) == 3.0


def test_points_that_make_no_whole_grid_are_thinned_out():
    times = {(x, y): x + y for x in (1.0, 2, 3) for y in (1.0, 2, 3)}
    times[2.5, 1.0] = 99.0  # of a second sweep
    assert Grid(times).axes == [[1, 2, 3], [1, 2, 3]]
    ragged = {(float(x), float(x)): 1.0 for x in range(3)}
    with pytest.raises(ValueError, match=r"a\.csv: of 3 points only 1 make a whole grid"):
        Grid(ragged, "a.csv")


def test_a_point_that_is_there_twice_is_refused(tables):
    for path in tables:
        kept = path.read_text()
        path.write_text(kept + kept.splitlines()[-1] + "\n")
        with pytest.raises(ValueError, match=rf"{path.name}, line \d+: .* has a time already"):
            KernelStepTime(*tables, num_layers=5)
        path.write_text(kept)


def test_a_table_that_falls_stays_as_it_is_beyond_its_end():
    falls = Grid({(1.0,): 5.0, (2.0,): 1.0})
    assert falls(100) == falls.line()(100) == 1.0
    one_way = Grid({(x, y): 10 * x - y for x in (1.0, 2.0) for y in (1.0, 2.0, 3.0)})
    assert one_way(2, 50) == one_way.plane()(2, 50) == one_way.at(1, 50)(2) == 17
    assert one_way(3, 2) == one_way.plane()(3, 2) == one_way.at(0, 3)(2) == 28


def test_tables_that_are_none_are_refused_with_file_and_line(tables, tmp_path):
    attention, dense, head = tables
    with pytest.raises(ValueError, match="no column tokens"):
        KernelStepTime(attention, head, head, num_layers=1)
    wrong = write(tmp_path / "wrong.csv", ("layer", "tokens", "time_us"), [("norm", 1, "fast")])
    with pytest.raises(ValueError, match=r"wrong\.csv, line 2: time_us='fast'"):
        KernelStepTime(attention, wrong, head, num_layers=1)
    only = write(
        tmp_path / "only.csv",
        ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us"),
        [(0, 0, 1, 1, 1)],
    )
    with pytest.raises(ValueError, match="no row of prompt attention"):
        KernelStepTime(only, dense, head, num_layers=1)
    with pytest.raises(ValueError, match="no such file"):
        KernelStepTime(tmp_path / "none.csv", dense, head, num_layers=1)
