"""The explorer: modelled numbers, the table, the figure's text, and the sliders around them."""

import datetime
import json
from dataclasses import replace

import pytest

from gqa_lib import cost, explore
from gqa_lib.configs import Weights, load_model
from gqa_lib.explore import alternatives, estimate, explorer, finding, table
from gqa_lib.explore.panel import ExplorerPanel
from gqa_lib.hardware import Hardware, datasheet

H100 = datasheet("H100 SXM")
LLAMA = replace(load_model("Llama-3-8B"), weight_bytes=None, weights=None)
WEIGHTS = 16.06e9


def by_arm(config, **workload):
    return {c.attention_type: estimate(c, H100, **workload) for c in alternatives(config)}


def test_llama_3_8b_gains_as_the_cost_model_says():
    arms = by_arm(LLAMA, batch_size=32, context_length=8192, weight_bytes=WEIGHTS)
    assert list(arms) == ["MHA", "GQA", "MQA"]
    milliseconds = [round(e.step_time_s * 1e3, 1) for e in arms.values()]
    assert milliseconds == [45.8, 15.1, 6.1]
    assert arms["GQA"].kv_bytes_per_token == 128 * 2**10
    assert arms["GQA"].kv_bytes == 32 * arms["GQA"].sequence_bytes
    assert [e.intensity for e in arms.values()] == [1, 4, 32]


def test_an_end_of_the_range_is_listed_once():
    assert list(by_arm(load_model("Falcon-7B"))) == ["MHA", "MQA"]
    assert list(by_arm(load_model("DeepSeek-V3"))) == ["MHA", "MLA", "MQA"]


def test_intensity_of_absorbed_mla():
    assert cost.decode_intensity(load_model("DeepSeek-V3"), 2) == pytest.approx(242, abs=0.5)


def test_without_weights_neither_time_nor_capacity_is_stated():
    found = [estimate(c, H100, batch_size=32) for c in alternatives(LLAMA)]
    rows = {name: cells for name, *cells in table(found, H100)}
    told = ("weights", "sequences that fit", "least time of a step", "times as fast as MHA")
    assert {name: rows[name] for name in told} == {name: ["not known"] * 3 for name in told}
    assert "GQA (8 KV heads) 4.00, MQA (1 KV head) 32.00 times smaller" in finding(found)
    assert "no time and no capacity" in finding(found)


def test_attention_alone_is_asked_for_with_no_bytes_of_weights():
    found = [estimate(c, H100, batch_size=32, weight_bytes=0) for c in alternatives(LLAMA)]
    assert "GQA (8 KV heads) 4.00 times as fast" in finding(found)


def test_llama_3_70b_does_not_fit_on_one_h100():
    config = replace(LLAMA, weights=Weights(dense=69_503_033_344, embedding=1_050_673_152))
    found = [estimate(c, H100, batch_size=4) for c in alternatives(config)]
    rows = {name: cells for name, *cells in table(found, H100)}
    assert rows["sequences that fit"] == ["0 (too few)"] * 3
    assert found[1].step_time_s > 69e9 * 2 / H100.bandwidth_bytes_per_s


def test_experts_are_read_as_a_batch_touches_them():
    weights = Weights(1000, 50, expert=10, num_experts=8, experts_per_token=2, moe_layers=3)
    config = replace(LLAMA, weights=weights)
    one, many = (estimate(config, H100, batch_size=n) for n in (1, 1000))
    assert (one.weight_bytes, one.read_bytes) == (2 * 1290, 2 * 1060)
    assert many.read_bytes == pytest.approx(2 * 1240)


def test_cache_and_weights_may_have_bytes_of_their_own():
    config = replace(LLAMA, weights=Weights(8_000_000_000))
    both, cache = (
        estimate(config, H100, batch_size=2048, bytes_per_element=b, bytes_per_parameter=2)
        for b in (2, 1)
    )
    assert cache.weight_bytes == both.weight_bytes
    assert cache.kv_bytes == both.kv_bytes / 2
    assert cache.step_time_s < both.step_time_s


def test_a_context_beyond_the_models_own_is_marked():
    config = replace(LLAMA, max_context=8192)
    found = [estimate(config, H100, context_length=n) for n in (8192, 8193)]
    rows = {name: cells for name, *cells in table(found, H100)}
    assert rows["context"] == ["8,192", "8,193 (beyond its 8,192)"]


def test_hybrids_keep_their_kinds_of_layers_with_other_heads():
    mha, gqa, mqa = alternatives(load_model("Qwen3.5-27B"))
    kinds = [[layer.kind for layer in arm.kv_layers] for arm in (mha, gqa, mqa)]
    assert kinds[0] == kinds[1] == kinds[2]
    sizes = [cost.kv_cache_bytes(arm, [1000], 2) for arm in (mha, gqa, mqa)]
    assert (sizes[0] / sizes[1], sizes[1] / sizes[2]) == (6, 4)


def test_explore_prints_and_draws(capsys):
    found = explore.explore(LLAMA, H100, batch_size=32, weight_bytes=WEIGHTS)
    printed = capsys.readouterr().out
    assert "74" not in printed.split("sequences that fit")[0]
    assert finding(found) in printed  # the figure's text alternative


def test_the_panel_follows_its_controls():
    panel = ExplorerPanel(LLAMA, None)
    panel.batch.value, panel.parameters.value = 32, 8.03
    assert "45.8 ms" in panel.output.value
    assert "15.1 ms" in panel.output.value
    panel.kv_heads.value = 16
    assert "16 KV heads" in panel.output.value
    panel.heads.value = 24
    assert panel.kv_heads.options == (1, 2, 3, 4, 6, 8, 12, 24)
    assert panel.kv_heads.value == 12
    panel.model.value = "DeepSeek-V3"
    assert "one latent" in panel.output.value
    assert panel.parameters.value == 671


def test_the_panel_begins_with_the_machine_that_was_measured():
    mine = Hardware("my CPU", 1e11, 2e10, 16e9, "measured")
    assert ExplorerPanel(LLAMA, mine).machine.value == mine
    assert "ridge 5" in ExplorerPanel(LLAMA, mine).output.value


def upload(panel, content):
    panel.upload.value = (
        {
            "name": "config.json",
            "type": "application/json",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": datetime.datetime.now(datetime.UTC),
        },
    )


def test_the_panel_reads_a_config_of_the_learners_own():
    panel = ExplorerPanel(LLAMA, None)
    own = {"model_type": "llama", "num_hidden_layers": 4, "num_attention_heads": 12}
    sizes = {"num_key_value_heads": 3, "hidden_size": 768}
    upload(panel, json.dumps(own | sizes).encode())
    assert (panel.heads.value, panel.kv_heads.value) == (12, 3)
    assert "4 layers" in panel.said.value
    before = panel.output.value
    upload(panel, b"{nope")
    assert "was not used" in panel.said.value
    assert panel.output.value == before


def test_without_ipywidgets_the_static_figure_is_shown(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "gqa_lib.explore.panel", None)
    assert explorer() is None
    assert "times as fast" in capsys.readouterr().out


def test_the_panel_takes_the_width_there_is():
    from gqa_lib.explore.panel import ExplorerPanel

    panel = ExplorerPanel(load_model("Llama-3-8B"), None)
    *rows, said, output = panel.view().children
    assert (said, output) == (panel.said, panel.output)
    assert [len(row.children) for row in rows] == [2] * 5
    assert {row.layout.flex_flow for row in rows} == {"row wrap"}
    controls = [control for row in rows for control in row.children]
    assert {control.layout.width for control in controls} == {"auto"}, "no width of its own"
    assert "width=" not in output.value
    assert "width: 100%; max-width: 900px" in output.value
