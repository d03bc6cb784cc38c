"""What runs on one machine share, and the quiet of those that time."""

import os

import pytest

from gqa_lib.bench import machine
from gqa_lib.bench.machine import Place, Slot, described, slots


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """What other commands on this machine do is not to be waited for."""
    monkeypatch.setattr(machine, "locks", lambda: tmp_path / "locks")


def test_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr(machine, "gpus", list)
    monkeypatch.setattr(machine, "_cores", lambda: [0, 1, 4, 5, 6])
    assert [slot.cores for slot in slots()] == [(0,), (1,), (4,), (5,), (6,)]
    assert [slot.cores for slot in slots(2)] == [(0, 4, 6), (1, 5)]
    assert slots(2)[0].environment() == {"OMP_NUM_THREADS": "3"}
    with pytest.raises(ValueError, match="slots=6, but this machine has 5 CPU cores"):
        slots(6)


def test_each_gpu_is_a_slot_and_its_run_sees_no_other(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-8f")
    assert [slot.environment() for slot in slots()] == [
        {"CUDA_VISIBLE_DEVICES": "2"},
        {"CUDA_VISIBLE_DEVICES": "GPU-8f"},
    ]
    assert len(slots(1)) == 1
    with pytest.raises(ValueError, match="2 GPUs"):
        slots(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert slots(1)[0].gpu is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(
        machine, "_names", lambda: dict.fromkeys(("0", "GPU-1", "1", "GPU-2"), "H200")
    )
    assert [slot.gpu for slot in slots()] == ["0", "1"]


def test_a_device_in_words_is_what_runs_and_how(monkeypatch):
    names = {"0": "NVIDIA H200", "GPU-8f1": "NVIDIA H200", "1": "NVIDIA L4", "GPU-97c": "NVIDIA L4"}
    monkeypatch.setattr(machine, "_names", lambda: names)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("GQA_DEVICE", raising=False)
    assert described({}, Slot()) == "NVIDIA H200"
    assert described({"device": "cuda:1"}, Slot()) == "NVIDIA L4"
    assert described({}, Slot(gpu="1")) == "NVIDIA L4"
    assert described({}, Slot(gpu="GPU-8f")) == "NVIDIA H200"
    assert described({}, Slot(gpu="GPU-")) == "GPU GPU-"
    assert described({}, Slot(gpu="MIG-1")) == "GPU MIG-1"
    monkeypatch.setenv("GQA_DEVICE", "cpu")
    assert "threads" in described({}, Slot())
    monkeypatch.setenv("GQA_BACKEND", "folded")
    assert described({"device": "cuda"}, Slot()) == "NVIDIA H200, GQA_BACKEND=folded"


def test_a_run_that_times_is_alone_and_the_others_are_together():
    first, second, timed = Place(alone=False), Place(alone=False), Place(alone=True)
    assert first.take()
    assert second.take()
    assert not timed.take()
    late = Place(alone=False)
    assert not late.take()  # else there would never be quiet
    first.leave()
    assert not timed.take()
    second.leave()
    assert timed.take()
    assert timed.take()  # which it has
    assert not late.take()
    another = Place(alone=True)
    assert not another.take()
    timed.leave()
    assert another.take()
    another.leave()
    assert late.take()
    late.leave()


def test_who_gives_up_waiting_for_quiet_keeps_nobody(tmp_path):
    first, timed, late = Place(alone=False), Place(alone=True), Place(alone=False)
    assert first.take()
    assert not timed.take()
    timed.leave()
    assert late.take()
    for place in (first, late):
        place.leave()


def test_one_run_is_done_by_one_process_at_a_time(tmp_path):
    own = tmp_path / "out" / ".locks" / "toy-1"
    one, same, other = Place(alone=False, own=own), Place(alone=False, own=own), Place(alone=False)
    assert one.take()
    assert not same.take()
    assert other.take()
    one.leave()
    assert same.take()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are made otherwise")
def test_a_place_ends_with_its_process():
    child = os.fork()
    if not child:
        os._exit(0 if Place(alone=True).take() else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert Place(alone=True).take()
