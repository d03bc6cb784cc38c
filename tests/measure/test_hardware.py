"""Data sheets, the choice of a device, and how ceilings are taken from samples."""

import pytest
import torch
from clocks import Clock

from gqa_lib.hardware import DATASHEET, Hardware, datasheet
from gqa_lib.measure import ceilings, measure_hardware, pick_device


def test_every_data_sheet_says_how_it_was_read():
    for name, figures in DATASHEET.items():
        assert figures.name == name
        assert "not read from the vendor's own sheet" in figures.provenance
        assert "dense" in figures.provenance


def test_data_sheets_hold_dense_figures_in_plain_units():
    """989 TFLOP/s is dense; the sheet's headline of 1979 counts 2:4 sparsity."""
    h100 = datasheet("h100 sxm")
    assert h100.flops_per_s == 989e12
    assert h100.bandwidth_bytes_per_s == 3.35e12
    assert "fp16" in datasheet("T4").provenance


@pytest.mark.parametrize(
    ("name", "memory_bytes", "bandwidth", "flops"),
    [
        ("A100 80GB PCIe", 85_899_345_920, 1.935e12, 312e12),
        ("A100 80GB SXM", 85_899_345_920, 2.039e12, 312e12),
        ("H100 PCIe", 85_899_345_920, 2.0e12, 756.5e12),
        ("H100 SXM", 85_899_345_920, 3.35e12, 989e12),
        ("H200 SXM", 151_397_597_184, 4.8e12, 989e12),
        ("B200", 193_273_528_320, 7.7e12, 2250e12),
        ("B300", 288_400_343_040, 7.75e12, 2250e12),
        ("L40S", 48_305_799_168, 0.864e12, 362.05e12),
        ("RTX 4090", 25_250_627_584, 1.008e12, 165e12),
        ("RTX PRO 6000", 102_641_958_912, 1.792e12, 467.8e12),
        ("GH200 96GB", 102_625_181_696, 4.0e12, 989e12),
    ],
)
def test_devices_hold_what_their_drivers_say(name, memory_bytes, bandwidth, flops):
    """A sheet's 80 GB are 80 GiB; of a device's memory the provenance says how it is known."""
    gpu = datasheet(name)
    assert (gpu.memory_bytes, gpu.bandwidth_bytes_per_s) == (memory_bytes, bandwidth)
    assert gpu.flops_per_s == flops
    assert f"{memory_bytes / 2**30:.2f} GiB = {memory_bytes / 1e9:.2f} GB" in gpu.provenance


def test_measured_reported_and_nominal_memory_are_told_apart():
    assert "measured on a device" in datasheet("RTX 4090").provenance
    assert "reported by the driver (nvidia-smi)" in datasheet("B300").provenance
    assert "the sheet's size in GiB" in datasheet("H200 SXM").provenance
    assert "secondary pages" in datasheet("GH200 96GB").provenance


def test_an_unknown_data_sheet_names_close_ones():
    with pytest.raises(ValueError, match="H100 SXM or H100 PCIe"):
        datasheet("H100")
    with pytest.raises(ValueError, match=r"V100 SXM or .*MI300X"):
        datasheet("???")


def test_ceilings_must_be_positive():
    with pytest.raises(ValueError, match="bandwidth_bytes_per_s=0 is not positive"):
        Hardware("none", 1, 0, 1, "")


@pytest.fixture
def machine(monkeypatch):
    """Sets which devices torch sees."""
    monkeypatch.delenv("GQA_DEVICE", raising=False)

    def set_devices(cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return set_devices


def test_best_device_first(machine):
    machine(cuda=2, mps=True)
    assert pick_device() == torch.device("cuda")
    machine(mps=True)
    assert pick_device() == torch.device("mps")
    machine()
    assert pick_device() == torch.device("cpu")


def test_argument_before_environment_before_best(machine, monkeypatch):
    machine(cuda=2)
    monkeypatch.setenv("GQA_DEVICE", "cuda:1")
    assert pick_device() == torch.device("cuda:1")
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("GQA_DEVICE", "")
    assert pick_device() == torch.device("cuda")


def test_a_device_that_is_not_there(machine, monkeypatch):
    machine(cuda=1)
    with pytest.raises(ValueError, match=r"'cuda:1' \(from the argument\).*cuda:0, cpu"):
        pick_device("cuda:1")
    machine()
    monkeypatch.setenv("GQA_DEVICE", "cuda")
    with pytest.raises(ValueError, match=r"'cuda' \(from GQA_DEVICE\) is not available.*sees cpu"):
        pick_device()
    with pytest.raises(ValueError, match="'gpu'"):
        pick_device("gpu")


def rows(arm, times, quiet=True, phase="measure"):
    return [{"arm": arm, "value": t, "quiet": quiet, "phase": phase} for t in times]


def test_undisturbed_time_is_the_median_of_quiet_samples():
    samples = rows("a", [1, 2, 3, 4, 5]) + rows("a", [90] * 9, quiet=False)
    assert ceilings._undisturbed_time(samples)[0] == 3
    assert ceilings._undisturbed_time(rows("a", [1, 2, 9, 9, 9], quiet=None))[0] == 9


def test_disturbed_samples_give_their_tenth_percentile_and_say_so():
    samples = rows("a", range(11), quiet=False) + rows("a", [0.5] * 4)
    time_s, how = ceilings._undisturbed_time(samples + rows("a", [0], phase="warmup"))
    assert time_s == pytest.approx(0.5)
    assert how == "tenth percentile of 15 disturbed samples"


def test_the_ceiling_is_the_arm_that_does_most_per_second():
    """The longer call may be the faster one: what counts is work over time."""
    clock = Clock()
    arms = {"short": clock.arm(1.0), "long": clock.arm(3.0)}
    rate, how = ceilings._best_rate(arms, {"short": 10.0, "long": 60.0}, "cpu", 30, clock)
    assert rate == 20.0
    assert how.startswith("long (")


def test_the_time_to_spend_is_by_the_clock_that_is_given():
    clock, calls = Clock(), []
    arms = {"a": clock.arm(1.0, calls.append)}
    ceilings._best_rate(arms, {"a": 1.0}, "cpu", 30, clock)
    assert len(calls) == 30 + 1  # with the round that the time ran out in


def test_read_passes_read_what_they_say(monkeypatch):
    monkeypatch.setattr(ceilings, "rotation_bytes", lambda device: 2**22)
    arms, nbytes = ceilings.read_passes(torch.device("cpu"))
    assert [nbytes[arm] for arm in arms] == [2**27, 2**27, 2**28]
    for arm, call in arms.items():
        assert float(call(0).sum()) == 2**25, arm


def test_buffers_outgrow_a_large_cache(monkeypatch):
    monkeypatch.setattr(ceilings, "rotation_bytes", lambda device: 2**29)
    _, nbytes = ceilings.read_passes(torch.device("cpu"))
    assert min(nbytes.values()) == 2**28, "two of them are a walk"


@pytest.mark.parametrize(("bfloat16_s", "tried"), [(3e-3, 4), (40e-3, 2)])
def test_a_dtype_the_cpu_has_no_instructions_for_is_not_its_ceiling(monkeypatch, bfloat16_s, tried):
    clock, threads, products = Clock(), torch.get_num_threads(), ceilings._products

    def by_the_clock(kinds, sizes, device):
        arms, flops = products(kinds, sizes, device)
        assert torch.get_num_threads() == (1 if sizes == (256,) else threads)
        return {a: clock.arm(bfloat16_s if "bfloat16" in a else 1e-3) for a in arms}, flops

    monkeypatch.setattr(ceilings, "_products", by_the_clock)
    arms, flops = ceilings.matrix_products(torch.device("cpu"), torch.bfloat16, clock)
    assert len(arms) == tried
    assert sum("float32" in arm for arm in arms) == 2
    assert sorted(flops.values())[0] == 2 * 1024**3
    assert torch.get_num_threads() == threads


def test_measured_hardware_says_how_it_was_measured(monkeypatch):
    def timed(arms, **_):
        return [row for arm in arms for row in rows(arm, [0.5] * 5)]

    monkeypatch.setattr(ceilings, "time_arms", timed)
    measured = measure_hardware("cpu", torch.float32)
    assert measured.flops_per_s == 2 * 2048**3 / 0.5
    assert measured.bandwidth_bytes_per_s >= 2 * 2**27 / 0.5
    assert measured.memory_bytes > 2**28
    for word in ("measured on", "threads", "MiB", "float32", "5 undisturbed samples"):
        assert word in measured.provenance
