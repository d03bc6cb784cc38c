"""`gqa generate CHECKPOINT PROMPT`: the text as it comes, or one line that says what is wrong."""

import json
from argparse import Namespace

import pytest
from checkpoints import change_config, save

from gqa_lib.cli import generate as command
from gqa_lib.cli import main
from gqa_lib.model import generate, load, load_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint that reads bytes and ends at none of them."""
    path = save(tmp_path_factory.mktemp("saved") / "bytes", "llama", vocab_size=256)
    change_config(path, eos_token_id=None)
    (path / "generation_config.json").unlink()
    return path


def run(capsys, *arguments):
    code = main(["generate", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def continued(folder, prompt, *arguments, **options):
    tokenizer = load_tokenizer(folder)
    (tokens,) = generate(load(folder), [tokenizer.encode(prompt)], *arguments, **options)
    return tokenizer.decode(tokens) + "\n"


def test_it_prints_what_generate_returns(folder, capsys):
    options = ["--max-new-tokens", 9, "--temperature", 0.8, "--top-k", 40, "--top-p", 0.9]
    code, out, err = run(capsys, folder, "Größe", *options, "--seed", 3)
    keys = {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "seed": 3}
    assert (code, out, err) == (0, continued(folder, "Größe", 9, **keys), "")
    assert run(capsys, folder, "Größe", *options)[1] != out
    code, out, _ = run(capsys, f"{folder}/", "the heads share")
    assert (code, out) == (0, continued(folder, "the heads share", 64))
    assert run(capsys, folder, "a", "--max-new-tokens", 0) == (0, "\n", "")


def test_it_ends_at_the_tokens_it_is_told_and_at_the_checkpoints_own(folder, capsys, tmp_path):
    model = load(folder)
    (tokens,) = generate(model, [list(b"abc")], 12)
    end = next(i for i, token in enumerate(tokens) if i > 2 and token not in tokens[:i])
    expected = load_tokenizer(folder).decode(tokens[: end + 1]) + "\n"
    common = ["abc", "--max-new-tokens", 12]
    stop = ["--stop", 7 if 7 not in tokens else 8, "--stop", tokens[end]]
    assert run(capsys, folder, *common, *stop) == (0, expected, "")
    own = tmp_path / "own"
    own.mkdir()
    for file in folder.iterdir():
        (own / file.name).symlink_to(file)
    (own / "generation_config.json").write_text(json.dumps({"eos_token_id": [999, tokens[end]]}))
    assert run(capsys, own, *common) == (0, expected, "")
    for odd in ({"eos_token_id": {"a": 1}}, {"eos_token_id": True}, [1], {}):
        (own / "generation_config.json").write_text(json.dumps(odd))
        assert command.ends_of(own, 256) == []


class ByByte:
    """A tokenizer with a token for each byte, invalid ones one replacement each."""

    def __init__(self, per_byte):
        self.per_byte = per_byte

    def decode(self, ids):
        """Return the text, as byte-level BPE or, byte by byte, as SentencePiece decodes it."""
        data = bytes(ids)
        if not self.per_byte:
            return data.decode(errors="replace")
        text, start = "", 0
        while start < len(data):
            for size in (1, 2, 3, 4):
                try:
                    text += data[start : start + size].decode()
                    break
                except UnicodeDecodeError:
                    continue
            else:
                text, size = text + "\ufffd", 1
            start += size
        return text


@pytest.mark.parametrize("per_byte", [True, False])
def test_characters_of_several_tokens_are_shown_whole_and_the_rest_at_once(per_byte):
    tokenizer, text = ByByte(per_byte), "a€😀ß!"
    shown = list(command.pieces(tokenizer, text.encode()))
    assert shown == ["a", "€", "😀", "ß", "!", ""]
    broken = b"\xff\xff\xff\xff\xff\xff" + "€b\xe2".encode("latin-1", "ignore") + b"\xf0\x9f"
    shown = list(command.pieces(tokenizer, broken))
    assert "".join(shown) == tokenizer.decode(broken)
    assert len(shown) > 4
    assert list(command.pieces(tokenizer, [])) == [""]


def test_text_is_shown_before_the_next_token_is_computed(folder, monkeypatch):
    happened = []

    def tokens(*_, **__):
        for token in b"abc":
            happened.append("computed")
            yield [token]

    monkeypatch.setattr(command, "stream", tokens)
    monkeypatch.setattr("builtins.print", lambda *a, **k: happened.append(a))
    assert main(["generate", str(folder), "x"]) == 0
    assert happened == ["computed", ("a",), "computed", ("b",), "computed", ("c",), ("",), ()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", "-1"], "temperature=-1.0: logits are divided by it"),
        (["--temperature", "nan"], "temperature=nan"),
        (["--top-k", "0"], "top_k=0"),
        (["--top-p", "2"], "top_p=2.0"),
        (["--seed", "-1"], "seed=-1"),
        (["--stop", "256"], "stop[0]=256 is not a token"),
        (["--max-new-tokens", "-1"], "max_new_tokens=-1"),
    ],
)
def test_numbers_out_of_range_are_one_line_and_exit_code_2(options, message, folder, capsys):
    code, out, err = run(capsys, folder, "abc", *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"gqa: {message}")
    assert err.count("\n") == 1


def test_what_cannot_be_loaded_or_read_is_one_line_and_exit_code_2(folder, capsys, tmp_path):
    small = save(tmp_path / "small", "llama")
    (tmp_path / "tokens").mkdir()
    for file in folder.iterdir():
        (tmp_path / "tokens" / file.name).symlink_to(file)
    (tmp_path / "tokens" / "tokenizer.json").write_text('{"a":\n 1}')
    for path, prompt, message in (
        (tmp_path / "nowhere", "a", "is not a folder"),
        (tmp_path, "a", "config.json: there is no such file"),
        (small, "a", "prompts[0][0]=97 is not a token: the model has 67"),
        (folder, "", "prompts[0] has no token"),
        (folder, "\udcff", "surrogates not allowed"),
        (tmp_path / "tokens", "a", "tokenizer.json cannot be read as a tokenizer"),
    ):
        code, out, err = run(capsys, path, prompt)
        assert (code, out) == (2, ""), path
        assert message in err
        assert err.count("\n") == 1
    with pytest.raises(SystemExit) as ended:
        run(capsys, folder, "a", "--top-k", "many")
    assert ended.value.code == 2


def test_a_reader_that_has_closed_is_no_refusal(folder, monkeypatch):
    def closed(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    keys = {"temperature": 0.0, "top_k": None, "top_p": 1.0, "seed": 0, "stop": []}
    with pytest.raises(BrokenPipeError):
        command.run(Namespace(checkpoint=folder, prompt="abc", max_new_tokens=3, **keys))
