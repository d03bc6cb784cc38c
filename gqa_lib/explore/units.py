"""Sizes and times as people read them."""


def size(nbytes: float) -> str:
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if nbytes >= size:
            return f"{nbytes / size:,.4g} {unit}"
    return f"{nbytes:g} B"


def seconds(time_s: float) -> str:
    factor, unit = (1e3, "ms") if time_s >= 1e-4 else (1e6, "µs")
    return f"{time_s * factor:,.3g} {unit}"
