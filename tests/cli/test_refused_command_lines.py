"""Command lines that are wrong: each is refused in a line, and nothing is started or written."""

import json
import shlex

import psutil
import pytest

from gqa_lib.cli import main

PLAIN = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}
FILES = {
    "binary.json": b"\x80\x81\xff\x00PK\x03\x04",
    "broken.json": b'{"model_type": "llama", ',
    "empty.json": b"",
    "wide.json": json.dumps(PLAIN).encode("utf-16"),
    "listed.json": b"[1]",
    "null.json": b"null",
    "text.json": b'"4096"',
    "nothing.json": b"{}",
    "deep.json": b"[" * 100_000,
    "part.json": json.dumps({"text_config": None, "model_type": "x"}).encode(),
    "fewer.json": json.dumps({"model_type": "x", "num_hidden_layers": 2}).encode(),
    "words.json": json.dumps(PLAIN | {"num_attention_heads": "four"}).encode(),
    "negative.json": json.dumps(PLAIN | {"num_hidden_layers": -2}).encode(),
    "uneven.json": json.dumps(PLAIN | {"num_key_value_heads": 3}).encode(),
    "mla.json": json.dumps(
        PLAIN | {"model_type": "deepseek_v3", "kv_lora_rank": 16, "qk_rope_head_dim": None}
    ).encode(),
    "wrapped.json": json.dumps({"model_type": "x", "text_config": [1]}).encode(),
    "encoder.json": json.dumps(PLAIN | {"model_type": "bert"}).encode(),
    "afile": b"text",
    "class.csv": b"nobody;knows\n1;2\n",
    "due.csv": b"lesson,due\n04,2027-03-01 12:00\n",
    "latin.csv": "id,first_name\n1,J\xfcrgen\n".encode("latin-1"),
    "records.gqa": b"not an archive",
}
FOLDERS = ("adir", "adir/empty")

# Command line, and what the refusal says.
REFUSED = """
                                                        | the following arguments are required
nope                                                    | invalid choice: 'nope'
--nope                                                  | required
bench nope                                              | there is no benchmark 'nope'
bench --list nope                                       | there is no benchmark 'nope'
bench --help nope                                       | there is no benchmark 'nope'
bench nope --help                                       | there is no benchmark 'nope'
bench --nope                                            | unrecognized arguments: --nope
bench decode-latency --timeout nan                      | 'nan' is not a number above 0
bench decode-latency --timeout inf                      | 'inf' is not a number above 0
bench decode-latency --timeout 0                        | '0' is not a number above 0
bench decode-latency --timeout -5                       | '-5' is not a number above 0
bench decode-latency --timeout soon                     | 'soon' is not a number above 0
bench decode-latency --out ""                           | '' is not the name of a folder
bench decode-latency --out afile                        | afile is a file
bench decode-latency -p                                 | expected one argument
bench decode-latency -p context                         | write it as name=value
bench decode-latency -p =1                              | write it as name=value
bench decode-latency -p contxt=1                        | has no parameter 'contxt'
bench decode-latency -p out_dir=                        | give --out, not out_dir
bench decode-latency -p out_dir=x                       | give --out, not out_dir
bench decode-latency -p context=1 -p context=2          | -p context is there twice
bench -p head_dim=64                                    | has no parameter 'head_dim'
bench decode-latency -p context=[]                      | context=[] leaves nothing to measure
bench decode-latency -p context=0                       | a whole number from 1
bench decode-latency -p context=-4                      | context=-4 cannot be measured with
bench decode-latency -p context=[4096,-4]               | -4 in it is not a whole number
bench decode-latency -p context=1.5                     | does not fit: its default is [4096]
bench decode-latency -p context=true                    | does not fit
bench decode-latency -p context=null                    | does not fit
bench decode-latency -p context={}                      | does not fit
bench decode-latency -p context=long                    | does not fit
bench decode-latency -p context=NaN                     | does not fit
bench decode-latency -p context=[[1]]                   | does not fit
bench decode-latency -p context=[4096,4096]             | has 4096 twice
bench decode-latency -p context=1e3                     | does not fit
bench decode-latency -p context=99999999999999999999    | is not a whole number from 1
bench decode-latency -p batch_size=0                    | a whole number from 1
bench decode-latency -p batch_size=[]                   | leaves nothing to measure
bench decode-latency -p head_dim=0                      | a whole number from 1
bench decode-latency -p head_dim=-128                   | a whole number from 1
bench decode-latency -p num_heads=0                     | a whole number from 1
bench decode-latency -p num_heads=-32                   | a whole number from 1
bench decode-latency -p num_heads=[32]                  | does not fit: its default is 32
bench decode-latency -p num_heads=99999999              | a whole number from 1 to 65,536
bench decode-latency -p num_kv_heads=0                  | a whole number from 1
bench decode-latency -p num_kv_heads=3                  | not divisible by num_kv_heads=3
bench decode-latency -p num_kv_heads=64                 | not divisible by num_kv_heads=64
bench decode-latency -p num_kv_heads=[]                 | leaves nothing to measure
bench decode-latency -p num_kv_heads=[8,8]              | has 8 twice
bench decode-latency -p num_heads=12                    | not divisible by num_kv_heads=32
bench decode-latency -p rounds=0                        | a whole number from 1
bench decode-latency -p rounds=-1                       | a whole number from 1
bench decode-latency -p rounds=many                     | does not fit: its default is 10
bench decode-latency -p quiet_samples=-1                | a whole number from 0
bench decode-latency -p budget_s=-1                     | seconds, 0 or more
bench decode-latency -p budget_s=NaN                    | seconds, 0 or more
bench decode-latency -p budget_s=Infinity               | seconds, 0 or more
bench decode-latency -p budget_s=short                  | does not fit
bench decode-latency -p memory_gib=-1                   | GiB above 0 (or 0)
bench decode-latency -p memory_gib=NaN                  | GiB above 0 (or 0)
bench decode-latency -p memory_gib=true                 | does not fit
bench decode-latency -p seed=-1                         | a whole number from 0
bench decode-latency -p seed=1.5                        | does not fit
bench decode-latency -p dtype=float31                   | a number type that torch has
bench decode-latency -p dtype=                          | a number type that torch has
bench decode-latency -p dtype=float64                   | results are compared with float64
bench decode-latency -p dtype=int8                      | take float32, bfloat16, float16
bench decode-latency -p dtype=16                        | does not fit
bench decode-latency -p backends=nope                   | is not one of
bench decode-latency -p 'backends=["nope"]'             | is not one of
bench decode-latency -p backends=[1]                    | is not one of
bench decode-latency -p device=tpu                      | device 'tpu'
bench decode-latency -p device=cuda:77                  | device 'cuda:77'
bench decode-latency -p compiled=maybe                  | does not fit: its default is False
bench decode-latency -p compiled=1                      | does not fit
bench decode-latency -p cuda_graphs=no                  | does not fit: its default is True
bench decode-latency -p cuda_graphs=0                   | does not fit: its default is True
bench prefill-latency -p num_heads=4 -p num_kv_heads=[4,3] | not divisible by num_kv_heads=3
bench prefill-latency -p prompt_length=0                | a whole number from 1
bench prefill-latency -p prompt_length=[]               | leaves nothing to measure
bench prefill-latency -p batch_size=[1,2]               | does not fit: its default is 1
bench prefill-latency -p batch_size=0                   | a whole number from 1
bench prefill-latency -p memory_gib=-0.5                | GiB above 0 (or 0)
bench model-decode -p num_layers=0                      | a whole number from 1
bench model-decode -p num_layers=100000                 | a whole number from 1 to 10,000
bench model-decode -p head_dim=63                       | head_dim=63 is odd
bench model-decode -p vocab_size=0                      | a whole number from 1
bench model-decode -p d_model=0                         | a whole number from 1
bench model-decode -p d_ff=-1                           | a whole number from 1
bench model-decode -p ragged=yes                        | does not fit: its default is False
bench model-decode -p ragged=true -p context=1          | has no half
bench model-decode -p peers=2                           | does not fit: its default is True
bench model-decode -p num_kv_heads=[8,3]                | not divisible by num_kv_heads=3
bench serving -p num_kv_heads=[32,3]                   | not divisible by num_kv_heads=3
bench serving -p model=nope                            | no model called 'nope'
bench serving -p request_rate=0                        | requests a second above 0
bench serving -p gpu_memory_utilization=2              | a share above 0, up to 1
bench serving -p trace=                                | the name of a trace
bench serving -p goodput=' '                           | latencies in milliseconds
bench throughput -p memory_gib=0                        | GiB above 0
bench throughput -p memory_gib=-1                       | GiB above 0
bench throughput -p output_length=0                     | a whole number from 1
bench throughput -p num_requests=0                      | a whole number from 1
bench throughput -p max_num_seqs=0                      | a whole number from 1
bench throughput -p max_num_batched_tokens=0            | a whole number from 1
bench throughput -p batch_size=[0]                      | a whole number from 1
bench throughput -p 'batch_size=["a"]'                  | 'a' in it is not a whole number
bench roofline -p linear_tokens=[]                      | leaves nothing to measure
bench roofline -p linear_tokens=[0]                     | a whole number from 1
bench roofline -p batch_size=-1                         | a whole number from 0
bench roofline -p prompt_length=-1                      | a whole number from 0
bench roofline -p 'datasheet=H900'                      | no data sheet for 'H900'
bench roofline -p memory_gib=-1                         | GiB above 0 (or 0)
bench kv-footprint -p models=[]                         | leaves nothing to measure
bench kv-footprint -p models=                           | the name of a model
bench kv-footprint -p 'models=[""]'                     | the name of a model
bench kv-footprint -p 'models=["nope"]'                 | no model called 'nope'
bench kv-footprint -p models=none.json                  | there is no such file
bench kv-footprint -p models=listed.json                | listed.json holds list
bench kv-footprint -p models=[1]                        | does not fit
bench kv-footprint -p memory_gib=0                      | GiB above 0
bench kv-footprint -p memory_gib=-40                    | GiB above 0
bench kv-footprint -p dtype=int4                        | a number type that torch has
bench kv-footprint -p context=[]                        | leaves nothing to measure
bench kv-footprint -p rounds=5                          | has no parameter 'rounds'
info nope                                               | no model called 'nope'
info ""                                                 | no model called ''
info none.json                                          | none.json: there is no such file
info binary.json                                        | binary.json is not text
info wide.json                                          | wide.json is not text
info broken.json                                        | broken.json is not JSON
info empty.json                                         | empty.json is not JSON
info listed.json                                        | listed.json holds list
info null.json                                          | null.json holds NoneType
info text.json                                          | text.json holds str
info nothing.json                                       | nothing.json lacks num_layers
info deep.json                                          | deep.json is not JSON
info part.json                                          | part.json lacks num_layers
info fewer.json                                         | fewer.json lacks num_heads
info words.json                                         | words.json: num_attention_heads='four'
info negative.json                                      | negative.json: num_hidden_layers=-2
info uneven.json                                        | uneven.json: num_heads=4 is not divisible
info mla.json                                           | without qk_rope_head_dim
info wrapped.json                                       | wrapped.json: text_config='[1]'
info encoder.json                                       | belongs to bert, an encoder
info adir                                               | there is no such file
info afile                                              | afile is not JSON
info Llama-3-8B --bytes 0                               | '0' is not a number above 0
info Llama-3-8B --bytes nan                             | 'nan' is not a number above 0
info Llama-3-8B --bytes two                             | 'two' is not a number above 0
models --bytes -1                                       | '-1' is not a number above 0
models --context 0                                      | '0' is not a whole number from 1
models --context 1e5                                    | '1e5' is not a whole number from 1
models --min-kib nan                                    | 'nan' is not a number
models --min-kib 9 --max-kib 3                          | no model is between them
models --csv --json                                     | not allowed with argument
models nope                                             | no model called 'nope'
models broken.json                                      | broken.json is not JSON
models --kind                                           | expected one argument
generate                                                | required: checkpoint, prompt
generate adir                                           | required: prompt
generate adir text                                      | config.json: there is no such file
generate nowhere text                                   | is not a folder
generate adir text --seed x                             | invalid int value: 'x'
map --home                                              | expected one argument
progress export                                         | use `gqa progress`
progress show file                                      | use `gqa progress`
progress export adir                                    | adir already exists
progress import none.gqa                                | none.gqa
progress import records.gqa                             | records.gqa
progress burn                                           | invalid choice: 'burn'
ask x --lesson 99                                       | there is no lesson '99'
ask x --lesson ""                                       | there is no lesson ''
ask ""                                                  | there is no question
build-native --nope                                     | unrecognized arguments: --nope
lab 99                                                  | there is no lesson '99'
lab ""                                                  | there is no lesson ''
lab --port 99999999                                     | is not a whole number from 1 to 65,535
lab --port 0                                            | is not a whole number from 1 to 65,535
lab --port -1                                           | is not a whole number from 1 to 65,535
lab --role king                                         | invalid choice: 'king'
submit                                                  | required: lesson
submit ""                                               | there is no lesson ''
submit " "                                              | there is no lesson ' '
submit nope                                             | there is no lesson 'nope'
submit 99                                               | there is no lesson '99'
submit -1                                               | there is no lesson '-1'
map --home afile                                        | afile is a file: name a folder
map --work ""                                           | '' is not the name of a folder
submit 01 --home ""                                     | '' is not the name of a folder
reset                                                   | required: lesson
reset 04                                                | nothing was reset
reset 04 nope                                           | nope
reset 04 expand_kv --all                                | nothing was reset
reset ""                                                | there is no lesson ''
release ""                                              | there is no lesson ''
release --seed many                                     | neither a whole number nor 'none'
release 01 --students x                                 | name none with --students
release --students afile                                | already exists
grade ""                                                | there is no lesson ''
grade 04 --workers 0                                    | '0' is not a whole number from 1
grade 04 --workers -2                                   | '-2' is not a whole number from 1
grade 04 --students ""                                  | '' has an empty place
grade 04 --students a,,b                                | 'a,,b' has an empty place
roster none.csv                                         | none.csv
roster class.csv                                        | class.csv: no column holds
roster latin.csv                                        | latin.csv: line 2 is not UTF-8
roster adir                                             | adir
due none.csv                                            | none.csv
due due.csv --timezone   Moon/Crater                    | Moon/Crater
due class.csv                                           | class.csv: no column holds
export adir                                             | adir is a folder
verify ""                                               | there is no lesson ''
verify 99                                               | there is no lesson '99'
build extra                                             | unrecognized arguments: extra
"""
ROWS = [[part.strip() for part in line.rsplit(" | ", 1)] for line in REFUSED.split("\n")[1:-1]]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with files that are wrong in one way each, to stand in."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    for name in ("GQA_EXCHANGE", "GQA_GRADEBOOK", "GQA_DEVICE", "GQA_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(arguments):
    try:
        return main(arguments)
    except SystemExit as ended:
        return ended.code


def there(folder):
    """Return every file but the records' own, with its content."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and folder / "home" not in path.parents
    }


@pytest.mark.parametrize(("line", "phrase"), ROWS, ids=[row[0] for row in ROWS])
def test_it_is_refused_in_a_line_and_nothing_happens(line, phrase, place, capfd):
    before, children = there(place), set(psutil.Process().children())
    code = run(shlex.split(line))
    out, err = capfd.readouterr()
    assert code in (1, 2), out + err
    assert phrase in " ".join((err or out).split()), out + err
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) <= 2, err
    assert there(place) == before
    assert set(psutil.Process().children()) <= children


def test_enough_of_them_are_tried():
    assert len({line for line, _ in ROWS}) == len(ROWS) > 200
