"""Sizes and times as people read them."""


def size(nbytes: float) -> str:
    """Return bytes in GiB, MiB or KiB, powers of 1024, or in B below one KiB."""
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if nbytes >= size:
            return f"{nbytes / size:,.4g} {unit}"
    return f"{nbytes:g} B"


def seconds(time_s: float) -> str:
    """Return a time in ms, or in µs below 0.1 ms."""
    factor, unit = (1e3, "ms") if time_s >= 1e-4 else (1e6, "µs")
    return f"{time_s * factor:,.3g} {unit}"
