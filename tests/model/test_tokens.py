"""A checkpoint's tokenizer, or bytes where it has none."""

import os
import sys

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from gqa_lib.model import load_tokenizer

TEXT = "Größe, 大小: naïve café — 3 × 4 😀\n"


@pytest.fixture
def trained(tmp_path):
    """A folder with a byte-level BPE, which puts <s> in front and would cut texts short."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the heads share the keys " * 9], trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_bytes_where_there_is_no_tokenizer(tmp_path):
    tokenizer = load_tokenizer(tmp_path)
    ids = tokenizer.encode(TEXT)
    assert ids == list(TEXT.encode())
    assert tokenizer.decode(ids) == TEXT
    assert tokenizer.decode([72, 0xC3]) == "H\ufffd"
    with pytest.raises(ValueError, match="token 256 is not a byte"):
        tokenizer.decode([72, 256])


def test_the_checkpoints_own(trained):
    tokenizer = load_tokenizer(trained)
    ids = tokenizer.encode(TEXT)
    assert ids[0] == 0
    assert len(ids) > 5
    assert tokenizer.decode(ids) == TEXT
    assert tokenizer.encode("")[0] == 0
    assert len(tokenizer.encode("the heads share")) < len("the heads share")


def test_what_it_writes_is_what_transformers_reads(trained):
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast(tokenizer_file=str(trained / "tokenizer.json"))
    assert load_tokenizer(trained).encode(TEXT) == theirs(TEXT, truncation=False)["input_ids"]


def test_without_the_library(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"gqa-course\[model\]"):
        load_tokenizer(trained)
    (trained / "tokenizer.json").unlink()
    assert load_tokenizer(trained).encode("a") == [97]


def test_what_cannot_be_read_is_not_taken_for_bytes(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        load_tokenizer(tmp_path / "nowhere")
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(ValueError, match=r"tokenizer.model and no tokenizer.json"):
        load_tokenizer(tmp_path)
    os.mkfifo(tmp_path / "tokenizer.json")  # which would be waited for forever
    with pytest.raises(ValueError, match=r"tokenizer.json is not a file"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer.json cannot be read"):
        load_tokenizer(tmp_path)
