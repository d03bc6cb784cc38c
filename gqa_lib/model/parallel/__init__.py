"""A language model over several processes, by heads or by the tokens of a sequence.

    def answer(rank, path, prompt):
        model = shard_model(load(path))  # this rank's heads, and its part of the cache
        return generate(model, [prompt], 32)[0]

    if __name__ == "__main__":
        tokens = run_ranks(answer, 2, "path/to/checkpoint", [1, 2, 3])  # the same in both ranks

Under torchrun the same function is called in `with join_torchrun() as rank:`.
"""

from .collectives import Messages, count_messages
from .heads import check_ranks, rank_heads
from .partial import attend_part, merge_parts
from .ranks import join_torchrun, run_ranks
from .sequence import SplitKVCache, split_cache, split_decode
from .shard import ShardedModel, rank_config, shard_model

__all__ = [
    "Messages",
    "ShardedModel",
    "SplitKVCache",
    "attend_part",
    "check_ranks",
    "count_messages",
    "join_torchrun",
    "merge_parts",
    "rank_config",
    "rank_heads",
    "run_ranks",
    "shard_model",
    "split_cache",
    "split_decode",
]
