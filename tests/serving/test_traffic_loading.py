"""What is done to rows that are not as they should be, and what is refused, with its place."""

import gzip
import json

import numpy as np
import pytest
from refusing import assert_refused

from gqa_lib.serving.traffic import load_trace
from gqa_lib.serving.traffic.dates import parse_dates

HEADER = "arrival_s,prompt_tokens,output_tokens\n"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"


def loaded(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_trace(path)


def test_rows_out_of_order_are_sorted_with_all_that_belongs_to_them(tmp_path):
    rows = [
        {"timestamp": 3000, "input_length": 30, "output_length": 3, "hash_ids": [3]},
        {"timestamp": 1000, "input_length": 10, "output_length": 1},
        {"timestamp": 2000, "input_length": 20, "output_length": 2, "hash_ids": [2]},
        {"timestamp": 1000, "input_length": 11, "output_length": 9, "hash_ids": [1]},
    ]
    trace = loaded(tmp_path, "\n".join(map(json.dumps, rows)))
    assert trace.arrival_s.tolist() == [0, 0, 1, 2]
    assert trace.prompt_tokens.tolist() == [10, 11, 20, 30]
    assert trace.output_tokens.tolist() == [1, 9, 2, 3]
    assert [one.tolist() for one in trace.hash_ids] == [[], [1], [2], [3]]
    assert trace.notes == (
        "arrivals were not in order at 2 places: the rows are sorted by them",
        "1 rows without hash_ids: they share no prefix",
    )


def test_arrivals_before_zero_are_counted_from_the_first(tmp_path):
    trace = loaded(tmp_path, HEADER + "-5,1,1\n-2,2,2\n1,3,3\n")
    assert trace.arrival_s.tolist() == [0, 3, 6]
    assert "2 arrivals are before 0, the earliest at -5" in trace.notes[1]


def test_rows_without_what_a_request_needs_are_left_out_and_counted(tmp_path):
    trace = loaded(tmp_path, HEADER + "0,1,\n1,,2\n,3,3\n3,4,0\n4,0,5\n5,6.0,6\n")
    assert trace.prompt_tokens.tolist() == [6]
    assert trace.notes[1:] == (
        "1 of 6 rows left out: without prompt_tokens",
        "1 of 6 rows left out: without output_tokens",
        "1 of 6 rows left out: without arrival_s",
        "1 of 6 rows left out: without an output token",
        "1 of 6 rows left out: without a prompt token",
    )
    lines = (
        '{"prompt_tokens": 5, "output_tokens": null}\n{"prompt_tokens": 5, "output_tokens": 1}\n'
    )
    assert "1 of 2 rows left out: without output_tokens" in loaded(tmp_path, lines).notes
    dates = loaded(tmp_path, AZURE + ",1,1\n2023-11-16 18:15:47,2,2\n")
    assert dates.prompt_tokens.tolist() == [374, 2]
    np.testing.assert_allclose(dates.arrival_s, [0, 0.31941], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (HEADER + "0,1,1\n\n1,x7,1\n", "t.csv, line 4, column prompt_tokens: 'x7'"),
        (HEADER + "0,1,1\n1,2,-3\n", "t.csv, line 3, column output_tokens: -3,"),
        (HEADER + "0,1,1\n1,2.5,3\n", "t.csv, line 3, column prompt_tokens: 2.5"),
        (HEADER + "0,1,1\n1,inf,3\n", "t.csv, line 3, column prompt_tokens: inf"),
        (HEADER + "0,1,1\ninf,2,3\n", "t.csv, line 3, column arrival_s: inf"),
        (HEADER + "0,1,1\n1,2\n", "t.csv, line 3, column output_tokens: '1,2'"),
        (AZURE + "2023-13-16 18:15:46,1,1\n", "line 3, column TIMESTAMP: '2023-13-16 18:15:46'"),
        (AZURE + "2023-11-16 18:15:46.6 x,1,1\n", "line 3, column TIMESTAMP: '2023-11-16 18:15:46"),
        (AZURE + "2023-11-16 18:15:46,1,many\n", "line 3, column GeneratedTokens: 'many'"),
        (
            '{"prompt_tokens": 1, "output_tokens": 2}\n\n'
            '{"prompt_tokens": "7", "output_tokens": 1}',
            "t.csv, line 3, column prompt_tokens: '7'",
        ),
        (
            '{"prompt_tokens": 1, "output_tokens": 2}\n{"prompt_tokens": 1, "output_tokens": true}',
            "t.csv, line 2, column output_tokens: True",
        ),
        ('{"prompt_tokens": 1, "output_tokens": 2}\n{"prompt_tokens": 1,', "t.csv, line 2: '{"),
        (
            '{"time": "2026-01-01", "input": 1, "output": 2}',
            "t.csv, line 1, column time: '2026-01-01'",
        ),
        ('{"prompt_tokens": 1, "output_tokens": 2}\n[1, 2]\n', "t.csv, line 2: '[1, 2]'"),
        (
            '{"timestamp": 1, "input_length": 5, "output_length": 2, "hash_ids": ["a"]}',
            "t.csv, line 1, column hash_ids: ['a']",
        ),
        (
            '{"input_lens": [5, 6], "output_lens": [1, "x"], "ttfts": null, "latencies": []}',
            "t.csv, line 1, column output_lens, entry 1: 'x'",
        ),
    ],
)
def test_a_wrong_cell_is_named_with_its_place(text, place, tmp_path):
    assert_refused(lambda: loaded(tmp_path, text), place)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "t.csv is empty"),
        ("\n \n", "only blank lines"),
        (HEADER, "a header and no rows"),
        ("a,b\n1,2\n", "the columns 'a, b'"),
        ("10,3\n20,4\n", "Name them prompt_tokens and output_tokens"),
        ('{"a": 1}\n', "Known: azure-2025"),
        ('[{"id": "x", "conversations": []}]', "only after a tokenizer"),
        ('{"request_throughput": 1, "total_input_tokens": 9}', "--save-detailed"),
        ('{"input_lens": [5, 6], "output_lens": [1]}', "input_lens 2, output_lens 1"),
        ('{"input_lens": [5], "output_lens": [1]}\n{"input_lens": [5]}', "has several results"),
        ("{not json\n", "begins like JSON"),
        (HEADER + "0,1,0\n", "has no request with a prompt and an output: "),
        (
            '{"session_id": 1, "arrival_time_ns": 5, "sub_requests": []}',
            "sub_requests are not read",
        ),
    ],
)
def test_a_file_without_requests_is_refused(text, phrase, tmp_path):
    assert_refused(lambda: loaded(tmp_path, text), phrase)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    assert_refused(lambda: load_trace(path), "there is no such file")
    assert_refused(lambda: load_trace(7), "path=7")
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert_refused(lambda: load_trace(path), "t.csv cannot be read to its end")
    path.write_bytes(HEADER.encode() + b"0,1,1\n" * 9000 + b"\xff")
    assert_refused(lambda: load_trace(path), "t.csv cannot be read to its end")
    whole = gzip.compress(HEADER.encode() + b"0,1,1\n" * 9000)
    path.write_bytes(whole[: len(whole) // 2])
    assert_refused(lambda: load_trace(path), "t.csv cannot be read to its end")


def test_a_format_that_was_named_must_fit(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(AZURE)
    assert load_trace(path, "azure-2024").format == "azure-2024"
    assert_refused(lambda: load_trace(path, "mooncake"), "t.csv is not mooncake")
    assert_refused(lambda: load_trace(path, "csv"), "format='csv'")


def test_more_lines_than_are_read_together(tmp_path):
    rows = [{"prompt_tokens": i + 1, "output_tokens": 1} for i in range(4_500)]
    text = "\n".join(map(json.dumps, rows))
    assert loaded(tmp_path, text).prompt_tokens.tolist() == list(range(1, 4_501))
    text += '\n{"prompt_tokens": -1, "output_tokens": 1}'
    assert_refused(lambda: loaded(tmp_path, text), "t.csv, line 4501, column prompt_tokens: -1,")


def test_dates_are_those_of_numpy():
    written = ["2023-11-16 18:15:46.6805900", "2024-02-29T23:59:59", "1969-12-31 23:59:59.5Z"]
    found, bad = parse_dates(np.array(written, "S40"))
    expected = np.array([one.rstrip("Z") for one in written], "M8[ns]").astype(np.int64)
    assert found.tolist() == expected.tolist()
    assert not bad.any()
    shifted, _ = parse_dates(np.array([b"2024-01-01 01:30:00+01:30", b"2023-12-31 22:00:00-02:00"]))
    assert (shifted == np.datetime64("2024-01-01", "ns").astype(np.int64)).all()


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29 00:00:00",
        "2023-1-16 18:15:46",
        "16/11/2023 18:15:46",
        "2023-11-16 24:15:46",
        "2023-11-16 18:15:46+0100",
        "2023-11-16 18:15:46.5+01:00x",
        "2023-11-16",
        "nan",
    ],
)
def test_what_is_no_date(text):
    assert parse_dates(np.array([text], "S40"))[1].tolist() == [True]


@pytest.mark.parametrize(
    "date",
    [
        "9999-12-31 00:00:00",  # beyond what nanoseconds of 64 bits reach
        "1600-12-31 00:00:00",
        "2023-11-16 18:60:46",
        "2023-11-16 18:15:46+99:99",
        "2023-11-16 18:15:46." + 24 * "1" + "+05:00",  # longer than what is read of it
    ],
)
def test_dates_that_are_none_are_refused(tmp_path, date):
    path = tmp_path / "azure.csv"
    path.write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{date},5,5\n")
    with pytest.raises(ValueError, match="is not a point in time"):
        load_trace(path)


def test_columns_that_a_first_row_lacks_count_too(tmp_path):
    path = tmp_path / "trace.jsonl"
    rows = '{"timestamp": 0, "input_length": 5, "output_length": 5}\n'
    path.write_text(rows + rows.replace("}", ', "hash_ids": [1]}').replace(": 0,", ": 1000,"))
    trace = load_trace(path)
    assert trace.format == "mooncake"
    assert trace.arrival_s.tolist() == [0, 1]


def test_rows_of_empty_cells_are_left_out_with_a_note(tmp_path):
    path = tmp_path / "lengths.csv"
    path.write_text("prompt_tokens,output_tokens\n3,4\n,\n5,6\n")
    trace = load_trace(path)
    assert trace.prompt_tokens.tolist() == [3, 5]
    assert any("left out" in note for note in trace.notes)
    path.write_text("prompt_tokens,output_tokens\n3,4\n,\nx,6\n")
    with pytest.raises(ValueError, match="line 4"):
        load_trace(path)


def test_of_two_times_the_better_name_counts(tmp_path):
    path = tmp_path / "lengths.csv"
    path.write_text("time,arrival_s,prompt_tokens,output_tokens\n100,0,3,4\n200,2,5,6\n")
    assert load_trace(path).arrival_s.tolist() == [0, 2]
