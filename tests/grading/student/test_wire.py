"""Messages between processes that do not trust each other: what arrives, and what is refused."""

import json
import math
import re
import socket
import struct
import threading
import time

import numpy as np
import pytest
import torch

from grading.student.wire import MAX_DEPTH, MAX_ITEMS, MAX_JSON, Channel, Garbled, pack, unpack


@pytest.fixture
def ends():
    pair = [Channel(end) for end in socket.socketpair()]
    yield pair
    for end in pair:
        end.close()


def unknown(reference):
    raise KeyError(reference)


def there_and_back(value, *, exact=False):
    """Return what arrives of a value, through a line."""
    ours, theirs = (Channel(end) for end in socket.socketpair())
    blobs: list = []
    message = {"value": pack(value, blobs, exact=exact)}
    sending = threading.Thread(target=ours.send, args=(message, blobs))
    sending.start()
    try:
        got, blobs = theirs.receive()
    finally:
        sending.join()
        ours.close()
        theirs.close()
    return unpack(got["value"], blobs, unknown, exact)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -7,
        10**30,
        1.5,
        -math.inf,
        "text\ud800",
        [],
        (),
        {},
        [1, (2.0, "three", [None])],
        {"a": {1: (True,)}, (1, 2): "a key that is a pair"},
        slice(1, None, 2),
        torch.bfloat16,
        torch.device("meta"),
        np.float32(1.5),
        np.int64(3),
    ],
    ids=repr,
)
def test_values_arrive_as_they_were(value):
    got = there_and_back(value)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.complex64],
)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 4)], ids=str)
def test_tensors_arrive_with_dtype_shape_and_values(dtype, shape):
    value = (torch.arange(math.prod(shape)).view(shape) % 3).to(dtype)
    got = there_and_back([value])[0]
    assert got.dtype == dtype
    assert torch.equal(got, value)


def test_nan_arrives():
    assert math.isnan(there_and_back(math.nan))
    assert there_and_back(torch.tensor([math.nan, math.inf])).isnan().tolist() == [True, False]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.mT,
        lambda x: x[:, 1:, ::2],
        lambda x: x[:1].expand(3, -1, -1),
        lambda x: x.permute(2, 0, 1),
    ],
    ids=["transposed", "sliced", "expanded", "permuted"],
)
def test_tensors_keep_their_strides_where_asked(make):
    value = make(torch.arange(24.0).view(2, 3, 4))
    got = there_and_back(value, exact=True)
    assert torch.equal(got, value)
    assert got.stride() == value.stride()
    assert there_and_back(value).is_contiguous()


def test_a_slice_takes_nothing_else_of_its_memory_along():
    whole = torch.full((2, 5, 3), 7.0)
    whole[:, :2] = 1.0
    got = there_and_back(whole[:, :2], exact=True)
    assert set(got.untyped_storage().tolist()) == set(
        torch.tensor([0.0, 1.0]).view(torch.uint8).tolist()
    )
    assert torch.equal(got, whole[:, :2])


def test_a_meta_tensor_arrives_without_values():
    got = there_and_back(torch.empty(2, 3, device="meta"))
    assert (got.device.type, got.shape) == ("meta", (2, 3))


def test_any_byte_of_a_bool_is_true_or_false():
    got = unpack({"tensor": "bool", "shape": [4], "blob": 0}, [bytearray([0, 1, 2, 255])], unknown)
    assert got.view(torch.uint8).tolist() == [0, 1, 1, 1]


def test_subclasses_of_lists_and_texts_are_not_taken_for_them():
    class Text(str):
        pass

    with pytest.raises(TypeError, match="a Text cannot be passed on"):
        pack(Text("x"), [])
    assert pack(Text("x"), [], lambda value: {"object": 1}) == {"object": 1}


def test_what_refers_to_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(TypeError, match="nested more than"):
        pack(value, [])


F32 = {"tensor": "float32", "blob": 0}


@pytest.mark.parametrize(
    "packed",
    [
        [],
        {},
        pytest.param(object(), id="an object"),
        {"unknown": 1},
        "x" * 300_000,
        {"list": {"a": 1}},
        {"list": [0] * (MAX_ITEMS + 1)},
        {"dict": [{"list": [1]}]},
        {"dict": [[{"list": []}, 1]]},
        {"dict": [[1, 2, 3]]},
        {"dict": 7},
        {"slice": [1, 2, 3, 4, 5]},
        {"dtype": "float31"},
        {"dtype": []},
        {"device": "nowhere"},
        {"device": 10**30},
        {"number": [1.0, 2.0], "kind": "float64"},
        {"number": "1", "kind": "float64"},
        {"number": True, "kind": "int64"},
        {"number": 10**400, "kind": "float64"},
        {"number": 1, "kind": "ndarray"},
        {"array": 7},
        {"array": []},
        {"array": [7]},
        {"array": [F32 | {"shape": [1]}] * 2},
        {"array": [{"tensor": "float32", "shape": [2], "meta": True}]},
        F32 | {"tensor": "float31", "shape": [1]},
        F32 | {"tensor": [], "shape": [1]},
        F32 | {"shape": [2]},
        F32 | {"shape": [-1]},
        F32 | {"shape": [True]},
        F32 | {"shape": [1.0]},
        F32 | {"shape": "1"},
        F32 | {"shape": 1},
        F32 | {"shape": [1] * 17},
        F32 | {"shape": [2**41]},
        F32 | {"shape": [0, 2**39, 2**39]},
        F32 | {"shape": [2**39, 2**39], "meta": True},
        F32 | {"shape": [1], "blob": 1},
        F32 | {"shape": [1], "blob": "0"},
        F32 | {"shape": [1], "blob": None},
        {"list": [F32 | {"shape": [1]}, F32 | {"shape": [1]}]},
        F32 | {"shape": [2**30], "strides": [0]},
    ],
    ids=lambda packed: re.sub(r" at 0x\w+", "", repr(packed))[:60],
)
def test_what_stands_for_no_value_is_refused(packed):
    with pytest.raises(Garbled):
        unpack(packed, [bytearray(4)], unknown)


@pytest.mark.parametrize("strides", [[-1], [1, 1], ["1"], [2**41], [2]], ids=str)
def test_strides_that_do_not_fit_are_refused(strides):
    with pytest.raises(Garbled):
        unpack(F32 | {"shape": [2], "strides": strides}, [bytearray(8)], unknown, exact=True)


def test_values_may_not_be_nested_for_ever():
    packed = None
    for _ in range(MAX_DEPTH + 1):
        packed = {"list": [packed]}
    with pytest.raises(Garbled, match="nested more than"):
        unpack(packed, [], unknown)


def raw(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (struct.pack(">I", MAX_JSON + 1), "bytes; at most"),
        (raw(b"{"), "JSONDecodeError"),
        (raw(b"\xff\xfe\xfd"), "not a message"),
        (raw(b"[]"), "TypeError"),
        (raw(b'"text"'), "AttributeError"),
        (raw(b"7"), "AttributeError"),
        (raw(b"{}"), "KeyError"),
        (raw(b'{"blobs": null}'), "TypeError"),
        (raw(b'{"blobs": 7}'), "TypeError"),
        (raw(b'{"blobs": [-1]}'), "MiB of tensors"),
        (raw(b'{"blobs": [1.5]}'), "MiB of tensors"),
        (raw(b'{"blobs": ["1"]}'), "MiB of tensors"),
        (raw(b'{"blobs": [true]}'), "MiB of tensors"),
        (raw(b'{"blobs": [99999999999]}'), "MiB of tensors"),
        (raw(b'{"blobs": [40000000, 40000000]}'), "MiB of tensors"),
        (raw(b'{"blobs": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "RecursionError"),
        (raw(b'{"blobs": [], "x": ' + b"9" * 100_000 + b"}"), "ValueError"),
    ],
    ids=lambda value: value[4:40].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_what_is_no_message_is_refused(ends, sent, said):
    ours, theirs = ends
    threading.Thread(target=lambda: ours.sock.sendall(sent), daemon=True).start()
    with pytest.raises(Garbled, match=said):
        theirs.receive()


@pytest.mark.parametrize(
    "sent", [b"", b"\0\0", struct.pack(">I", 10) + b"{", raw(b'{"blobs": [4]}') + b"x"]
)
def test_a_line_that_is_closed_amid_a_message_is_its_end(ends, sent):
    ours, theirs = ends
    ours.sock.sendall(sent)
    ours.close()
    with pytest.raises(EOFError):
        theirs.receive()


def test_a_message_may_come_in_pieces(ends):
    ours, theirs = ends
    message = raw(json.dumps({"a": 1, "blobs": [2]}).encode()) + b"xy"

    def send():
        for byte in message:
            ours.sock.sendall(bytes([byte]))

    threading.Thread(target=send, daemon=True).start()
    assert theirs.receive() == ({"a": 1}, [bytearray(b"xy")])


def test_the_time_of_a_message_is_that_of_all_its_bytes(ends):
    ours, theirs = ends
    over = threading.Event()

    def drip():
        ours.sock.sendall(struct.pack(">I", 1000))
        while not over.wait(0.02):
            ours.sock.sendall(b" ")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        with pytest.raises(TimeoutError):
            theirs.within(0.2).receive()
    finally:
        over.set()
        dripping.join()


def test_no_time_left_is_a_timeout_at_once(ends):
    with pytest.raises(TimeoutError):
        ends[0].within(-3).receive()
    with pytest.raises(TimeoutError):
        ends[0].within(-3).send({})


def test_a_line_that_nobody_reads_does_not_wait_for_ever(ends):
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        ends[0].within(0.2).send({}, [bytearray(32 << 20)])
    assert ends[0].deadline > before


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -2.0], [0.25, np.nan]]),
        np.array(3.5, np.float32),
        np.arange(12, dtype=np.int16).reshape(3, 4).T[::-1],
        np.array([], np.float64),
        np.array([True, False]),
    ],
)
def test_arrays_of_numpy_arrive_as_they_were(array):
    arrived = there_and_back([array])[0]
    assert type(arrived) is np.ndarray
    assert arrived.dtype == array.dtype
    np.testing.assert_array_equal(arrived, array, strict=True)


def test_other_arrays_are_referred_to():
    for array in (np.array(["text"]), np.array([1, 2], np.longdouble), np.ma.array([1.0])):
        assert pack(array, [], lambda value: {"ref": 1}) == {"ref": 1}
