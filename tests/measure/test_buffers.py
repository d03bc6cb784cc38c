import pytest
import torch

from gqa_lib.measure import buffers, cold_pool, last_level_cache_bytes, rotating_buffers
from gqa_lib.measure.environment import _container_free


@pytest.fixture
def cache(monkeypatch):
    """A machine with a cache of 1,000 bytes and memory enough."""
    monkeypatch.setattr(buffers, "last_level_cache_bytes", lambda device: 1000)
    monkeypatch.setattr(buffers, "free_bytes", lambda device: 10**9)


def test_rotated_buffers_are_four_caches_together(cache):
    made = rotating_buffers(lambda: object(), 300)
    assert len(made) == 14
    assert len(set(map(id, made))) == 14
    assert len(rotating_buffers(object, 4000)) == 1
    assert len(rotating_buffers(object, 3999)) == 2
    with pytest.raises(ValueError, match="nbytes=0"):
        rotating_buffers(object, 0)


def test_last_level_cache_is_a_plausible_size():
    assert 2**18 <= last_level_cache_bytes() <= 2**34


def test_a_walk_is_bounded_whatever_the_cache_and_the_memory(monkeypatch):
    monkeypatch.setattr(buffers, "last_level_cache_bytes", lambda device: 2**32)
    monkeypatch.setattr(buffers, "free_bytes", lambda device: 2**36)
    assert buffers.rotation_bytes() == buffers.MOST_BYTES == 2**30
    monkeypatch.setattr(buffers, "free_bytes", lambda device: 2**30)
    assert buffers.rotation_bytes() == 2**27
    monkeypatch.setattr(buffers, "free_bytes", lambda device: None)
    assert buffers.rotation_bytes() == 2**30


def test_arms_share_one_pool_and_read_it_all_before_any_of_it_again(cache):
    cold = cold_pool(600, dtype=torch.float32)
    first = cold(2, 3, 100)
    assert first.shape == (2, 3, 100)
    assert first.std() > 0.5, "random numbers, not zeros that a system may not even hand out"
    begin, size = first.data_ptr(), first.untyped_storage().nbytes()
    assert size == 4 * 600 + 4000
    seen, reread = begin + first.nbytes, None
    for count in (200, 50, 300, 200, 600, 50, 100, 300):
        taken = cold(count)
        assert taken.untyped_storage().data_ptr() == begin, "the same pool"
        if taken.data_ptr() < seen:
            reread = seen - begin
            break
        assert taken.data_ptr() == seen
        seen += taken.nbytes
    assert reread >= 4000, "no byte comes again before four caches' worth of others"


def test_a_pool_refuses_what_it_was_not_made_for(cache):
    with pytest.raises(ValueError, match="601 elements from a pool made for 600"):
        cold_pool(600, dtype=torch.float32)(601)
    with pytest.raises(ValueError, match="largest=0"):
        cold_pool(0, dtype=torch.float32)


def test_a_container_s_limit_is_what_is_free(tmp_path):
    assert _container_free(tmp_path) == []
    for name, text in {
        "max": "5000",
        "current": "3000",
        "stat": "anon 1\ninactive_file 700",
    }.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert _container_free(tmp_path) == [2700]
    (tmp_path / "memory.max").write_text("max")
    assert _container_free(tmp_path) == []
