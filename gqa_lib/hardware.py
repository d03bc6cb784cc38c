"""What a machine can do at most: figures from data sheets, and ceilings measured here.

Two numbers bound a kernel from below: how fast bytes are read and how fast matrices multiply.
Predictions are made from ceilings measured in the same run (`gqa_lib.measure.measure_hardware`);
data-sheet figures are for machines you do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Hardware:
    """The ceilings of one device.

    Args:
        name: the device.
        flops_per_s: dense matrix multiplication, in the dtype that provenance names.
        bandwidth_bytes_per_s: main memory, reading.
        memory_bytes: size of that memory.
        provenance: measured or read, where and how.

    Raises:
        ValueError: a ceiling or size that is not above 0.
    """

    name: str
    flops_per_s: float
    bandwidth_bytes_per_s: float
    memory_bytes: float
    provenance: str

    def __post_init__(self):
        for field in ("flops_per_s", "bandwidth_bytes_per_s", "memory_bytes"):
            if not getattr(self, field) > 0:
                raise ValueError(
                    f"{self.name}: {field}={getattr(self, field)} is not positive: every "
                    f"prediction divides by it. Give {field} above 0."
                )


# Data sheets

_COLLECTION = "a table collected from secondary pages"
# name: (dense FLOP/s, bytes/s, bytes, dtype, where it was read)
_DATASHEET_ROWS = {
    "V100 SXM": (125e12, 0.90e12, 32e9, "fp16", "llm-analysis gpu_configs; also sold with 16 GB"),
    "T4": (65e12, 0.32e12, 16e9, "fp16", "RajBhope gpu_catalog.json"),
    "A100 40GB": (312e12, 1.555e12, 40e9, "bf16", "llm-analysis gpu_configs"),
    "A100 80GB SXM": (312e12, 2.039e12, 80e9, "bf16", "llm-analysis gpu_configs"),
    "H100 PCIe": (756e12, 2.0e12, 80e9, "bf16", "llm-analysis gpu_configs"),
    "H100 SXM": (
        989e12,
        3.35e12,
        80e9,
        "bf16",
        "llm-analysis gpu_configs; glennklockwood.com/garden/processors/h100",
    ),
    "H200 SXM": (989e12, 4.8e12, 141e9, "bf16", "itkb.uw.cz, H200 against B300"),
    "B200": (2250e12, 8.0e12, 180e9, "bf16", "modal.com GPU glossary; 180 to 192 GB"),
    "B300": (3500e12, 8.0e12, 288e9, "bf16", "itkb.uw.cz, H200 against B300; FLOP/s approximate"),
    "L4": (121e12, 0.30e12, 24e9, "bf16", _COLLECTION),
    "RTX 4090": (165e12, 1.008e12, 24e9, "bf16", "gist mikasenghaas d63ded03"),
    "MI300X": (1307e12, 5.3e12, 192e9, "bf16", _COLLECTION),
}
DATASHEET = {
    name: Hardware(
        name,
        flops,
        bandwidth,
        memory,
        f"data-sheet figures, dense {dtype}, as transcribed in {where}; not read from the "
        "vendor's own sheet",
    )
    for name, (flops, bandwidth, memory, dtype, where) in _DATASHEET_ROWS.items()
}


def datasheet(name: str) -> Hardware:
    """Data-sheet figures of a GPU by name; upper and lower case do not matter.

    Args:
        name: a key of DATASHEET, such as "H100 SXM".

    Returns:
        Its Hardware; the provenance says where the figures were read.

    Raises:
        ValueError: no such entry; the message names the closest ones.
    """
    by_lower = {known.lower(): hardware for known, hardware in DATASHEET.items()}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = get_close_matches(name.lower(), by_lower, n=2) or by_lower
    raise ValueError(
        f"no data sheet for {name!r} among the {len(DATASHEET)} known: a figure is quoted with its "
        f"source or not at all. Choose {' or '.join(by_lower[match].name for match in close)}, "
        "or call measure_hardware."
    )
