"""The explorer: modelled numbers, the table, the figure's text, and the sliders around them."""

import datetime
import json
from dataclasses import replace

import pytest

from gqa_lib import cost, explore
from gqa_lib.configs import load_model
from gqa_lib.explore import alternatives, estimate, explorer, finding, table
from gqa_lib.explore.panel import ExplorerPanel
from gqa_lib.hardware import Hardware, datasheet

H100 = datasheet("H100 SXM")
LLAMA = replace(load_model("Llama-3-8B"), weight_bytes=None)
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


def test_the_table_says_what_is_not_known_and_what_does_not_fit():
    found = [estimate(c, H100, batch_size=32) for c in alternatives(LLAMA)]
    rows = {name: cells for name, *cells in table(found, H100)}
    assert rows["weights"] == ["not given"] * 3
    assert rows["sequences that fit"] == ["20 (too few)", "80", "640"]
    assert rows["times as fast as MHA"][0] == "1.00"
    assert "GQA (8 KV heads) 4.00 times as fast" in finding(found)


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
