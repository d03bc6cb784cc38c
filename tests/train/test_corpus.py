import os
import platform
import sysconfig

import pytest
import torch
from refusing import assert_refused

from gqa_lib.train import Corpus, python_sources, read_corpus


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def both(corpus):
    return corpus.train.numpy().tobytes(), corpus.held_out.numpy().tobytes()


def lines(part):
    return part.decode().split("\n")[:-1]


MANY = {f"part{i % 7}/file{i:03}.txt": f"line of {i:03}\n" for i in range(300)}


def test_a_folder_is_split_by_file_and_every_file_is_whole_on_one_side(tmp_path):
    corpus = read_corpus(write(tmp_path, MANY))
    train, held_out = map(lines, both(corpus))
    assert sorted(train + held_out) == sorted(text[:-1] for text in MANY.values())
    assert (len(train), len(held_out)) == (corpus.train_files, corpus.held_out_files)
    assert 5 <= len(held_out) <= 30, "about 5 %"
    in_order = [MANY[name][:-1] for name in sorted(MANY)]
    assert train == [line for line in in_order if line in train]
    places = [in_order.index(line) / len(in_order) for line in held_out]
    assert min(places) < 0.3 < 0.7 < max(places), "not the end, nor the beginning"


def test_a_larger_share_holds_out_more_files(tmp_path):
    corpus = read_corpus(write(tmp_path, MANY), held_out_share=0.5)
    assert 120 <= corpus.held_out_files <= 180


def test_a_new_file_moves_no_other(tmp_path):
    before = set(lines(both(read_corpus(write(tmp_path, MANY)))[1]))
    new = {f"aa/new{i}.txt": f"new {i}\n" for i in range(50)}
    after = set(lines(both(read_corpus(write(tmp_path, new)))[1]))
    assert {line for line in after if not line.startswith("new")} == before


def test_a_corpus_depends_on_names_and_bytes_not_on_where_or_in_which_order_they_were_written(
    tmp_path,
):
    first = read_corpus(write(tmp_path / "a", MANY))
    second = read_corpus(write(tmp_path / "b" / "c", dict(reversed(MANY.items()))))
    assert first.digest == second.digest
    assert both(first) == both(second)
    changed = read_corpus(write(tmp_path / "a", {"part0/file000.txt": "another\n"}))
    assert changed.digest != first.digest


def test_the_digest_says_where_the_parts_meet(tmp_path):
    file = write(tmp_path, {"one.txt": "abcdefghij" * 4})
    digests = {read_corpus(file / "one.txt", held_out_share=s).digest for s in (0.1, 0.2, 0.5)}
    assert len(digests) == 3
    assert all(len(digest) == 64 for digest in digests)


def test_max_bytes_cuts_the_training_part_alone(tmp_path):
    whole = both(read_corpus(write(tmp_path, MANY)))
    cut = read_corpus(tmp_path, max_bytes=100)
    assert both(cut) == (whole[0][:100], whole[1])
    assert cut.train_files == 9, "100 bytes of 12 each: eight and a piece of the ninth"
    assert cut.origin.endswith("training part cut at 100 bytes")
    assert "cut at" not in read_corpus(tmp_path, max_bytes=10**6).origin


@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_each_side_has_at_least_one_file(tmp_path, share):
    corpus = read_corpus(write(tmp_path, {"a": "one", "b": "two", "c": "three"}), None, share)
    assert sorted([corpus.train_files, corpus.held_out_files]) == [1, 2]
    assert (corpus.held_out_files == 1) == (share < 0.5)


def test_what_is_not_text_is_left_out_and_counted(tmp_path):
    write(tmp_path, MANY)
    before = read_corpus(tmp_path)
    others = {
        "a/picture.png": b"\x89PNG\0\0",
        "late.bin": b"x" * 8191 + b"\0",
        "empty.txt": "",
        ".git/config": "hidden",
        "a/.hidden": "hidden",
    }
    write(tmp_path, others)
    after = read_corpus(tmp_path)
    assert after.digest == before.digest
    assert "2 files that are not text left out" in after.origin
    assert "not text" not in before.origin


def test_text_that_is_not_utf8_and_names_that_are_not_are_read(tmp_path):
    for i in range(3):
        try:
            (tmp_path / os.fsdecode(b"name\xff%d" % i)).write_bytes(b"caf\xe9 %d" % i)
        except OSError:
            pytest.skip("this file system has names in UTF-8 only")
    corpus = read_corpus(tmp_path)
    assert sorted(b"".join(both(corpus)).split(b"caf\xe9 ")) == [b"", b"0", b"1", b"2"]


def test_symbolic_links_and_pipes_in_a_folder_are_not_followed(tmp_path):
    outside = write(tmp_path / "outside", {"secret.txt": "secret", "more/secret.txt": "secret"})
    folder = write(tmp_path / "inside", {"a.txt": "aaa", "b.txt": "bbb"})
    (folder / "link.txt").symlink_to(outside / "secret.txt")
    (folder / "folder").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    corpus = read_corpus(folder)
    assert sorted(both(corpus)) == [b"aaa", b"bbb"]
    assert "3 symbolic links left out" in corpus.origin
    (tmp_path / "way").symlink_to(folder)
    assert read_corpus(tmp_path / "way").digest == corpus.digest, "the folder's own link is"


def test_copies_of_held_out_files_are_not_trained_on(tmp_path):
    held_out = lines(both(read_corpus(write(tmp_path, MANY)))[1])
    write(tmp_path, {f"copies/{i}.txt": f"{held_out[0]}\n" for i in range(20)})
    corpus = read_corpus(tmp_path)
    train, _ = map(lines, both(corpus))
    assert held_out[0] not in train
    assert len(train) == corpus.train_files
    assert "copies of held-out files left out" in corpus.origin


def test_a_single_file_is_split_at_its_end(tmp_path):
    text = bytes(range(256)) * 4
    write(tmp_path, {"one.bin": text})
    corpus = read_corpus(str(tmp_path / "one.bin"), held_out_share=0.125)
    assert both(corpus) == (text[:896], text[896:])
    assert (corpus.train_files, corpus.held_out_files) == (1, 1)
    assert corpus.origin == "one.bin; one file, its end held out"
    cut = read_corpus(tmp_path / "one.bin", max_bytes=77, held_out_share=0.125)
    assert both(cut) == (text[:77], text[896:])


def test_the_only_file_in_a_folder_is_split_like_a_single_one(tmp_path):
    write(tmp_path, {"a/one.txt": "x" * 40, "empty": "", "b/picture": b"\0"})
    corpus = read_corpus(tmp_path)
    assert both(corpus) == (b"x" * 38, b"x" * 2)
    assert "only a/one.txt; one file, its end held out" in corpus.origin


def test_what_nothing_can_be_read_of_is_refused(tmp_path):
    write(tmp_path, {"short.txt": "x" * 19, "empty/e": "", "binary/b": b"\0", "long.txt": "x" * 99})
    write(tmp_path / "same", {"a": "one", "b": "one", "c": "one"})
    os.mkfifo(tmp_path / "pipe")
    long = tmp_path / "long.txt"
    for phrase, call in [
        ("is neither a file nor a folder", lambda: read_corpus(tmp_path / "pipe")),
        ("has no text files: ", lambda: read_corpus(tmp_path / "empty")),
        ("has no text files (1 files that", lambda: read_corpus(tmp_path / "binary")),
        ("has 19 bytes, of which held_out_share=0.05", lambda: read_corpus(tmp_path / "short.txt")),
        ("has 0 bytes", lambda: read_corpus(tmp_path / "empty" / "e")),
        ("each a copy of a held-out one", lambda: read_corpus(tmp_path / "same")),
        ("path=7", lambda: read_corpus(7)),
        ("max_bytes=0", lambda: read_corpus(long, 0)),
        ("max_bytes=1.5", lambda: python_sources(1.5)),
        ("held_out_share=0", lambda: read_corpus(long, held_out_share=0)),
        ("held_out_share=1 leaves nothing", lambda: read_corpus(long, held_out_share=1)),
        ("held_out_share=nan", lambda: read_corpus(long, held_out_share=float("nan"))),
    ]:
        assert_refused(call, phrase)
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        read_corpus(tmp_path / "nowhere")


BYTES = torch.zeros(3, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("train", "held_out", "phrase"),
    [
        (b"text", BYTES, "train=b'text' is not a vector of bytes"),
        (BYTES, BYTES.long(), "held_out=tensor"),
        (BYTES[None], BYTES, "train=tensor"),
        (BYTES, BYTES[:0], "held_out is empty"),
    ],
)
def test_parts_that_are_not_vectors_of_bytes_are_refused(train, held_out, phrase):
    with pytest.raises(ValueError, match=f"^{phrase.replace('[', '.')}"):
        Corpus(train, held_out, "made up", 1, 1, "")


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A standard library of 400 sources, one line each, in place of Python's."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name: {"stdlib": str(tmp_path)}[name])
    return write(
        tmp_path, {f"pack{i // 40}/m{i:03}.py": f"pack{i // 40} {i}\n" for i in range(400)}
    )


def test_the_standard_librarys_sources_without_tests_and_packages(library):
    before = python_sources()
    write(
        library,
        {
            **{f"{name}/x.py": "no\n" for name in ("test", "site-packages", "dist-packages")},
            "unittest/tests/x.py": "no\n",
            "idlelib/idle_test/x.py": "no\n",
            "pack1/__pycache__/x.py": "no\n",
            "config-3.99-linux/x.py": "no\n",
            "_sysconfigdata__linux.py": "no\n",
            "pack1/grammar.txt": "no\n",
            "pack1/__init__.py": "",
        },
    )
    after = python_sources()
    assert after.digest == before.digest
    assert after.train_files + after.held_out_files == 400
    assert 5 <= after.held_out_files <= 35, "about 5 %"
    write(library, {"unittest/x.py": "yes\n", "pack1/testing.py": "yes, too\n"})
    assert python_sources().train_files + python_sources().held_out_files == 402


def test_a_prefix_of_the_standard_library_is_of_many_packages(library):
    train, held_out = map(lines, both(python_sources(max_bytes=200)))
    assert len({line.split()[0] for line in train}) >= 5
    assert held_out == lines(both(python_sources())[1])


def test_a_python_without_sources_is_refused(tmp_path, monkeypatch):
    for folder in (tmp_path, tmp_path / "python311.zip"):
        monkeypatch.setattr(sysconfig, "get_path", lambda name, folder=folder: str(folder))
        assert_refused(python_sources, "has 0 sources of the standard library")


def test_this_pythons_sources():
    corpus, again = python_sources(50_000), python_sources(50_000)
    assert corpus.digest == again.digest
    assert len(corpus.train) == 50_000
    assert 200_000 < len(corpus.held_out) < 2_000_000
    assert platform.python_version() in corpus.origin
    assert b"\ndef " in both(corpus)[1]
    assert corpus.train.dtype == torch.uint8
    assert "tensor" not in repr(corpus)
