"""How query heads may share KV heads: one rule, for facts and kernels alike, without torch."""

from .arguments import check_whole


def kv_head_choices(num_heads: int) -> list[int]:
    """Return the numbers of KV heads that `num_heads` query heads can share evenly, ascending."""
    check_whole(num_heads=num_heads)
    return [n for n in range(1, num_heads + 1) if num_heads % n == 0]


def check_heads(num_heads: int, num_kv_heads: int, where: str = "") -> None:
    """Make sure that every KV head serves the same number of query heads.

    Args:
        num_heads: Hq, query heads.
        num_kv_heads: Hkv, KV heads.
        where: what the error begins with, such as a model's name or the tensors' shapes.

    Raises:
        ValueError: they do not divide; the message names the numbers that do. Or there is no head.
    """
    if type(num_heads) is not int or type(num_kv_heads) is not int:  # a call of attention is short
        check_whole(None, where=where, num_heads=num_heads, num_kv_heads=num_kv_heads)
    if num_heads < 1:
        raise ValueError(
            f"{where and f'{where}: '}num_heads={num_heads}: attention needs a head to have "
            "queries. Choose num_heads=1 or more."
        )
    if num_kv_heads < 1 or num_heads % num_kv_heads:
        choices = ", ".join(map(str, kv_head_choices(num_heads)))
        raise ValueError(
            f"{where and f'{where}: '}num_heads={num_heads} is not divisible by "
            f"num_kv_heads={num_kv_heads}: each KV head must serve the same number of query heads. "
            f"Choose num_kv_heads from {choices}."
        )
