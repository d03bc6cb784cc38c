"""What a machine can do at most: figures from data sheets, and ceilings measured here.

Two numbers bound a kernel from below: how fast bytes are read and how fast matrices multiply.
Predictions are made from ceilings measured in the same run (`gqa_lib.measure.measure_hardware`);
data-sheet figures are for machines you do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from .arguments import check_kind, check_number


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
            value = getattr(self, field)
            check_number(above=0, endless=True, where=str(self.name), **{field: value})


# Data sheets. A sheet's "80 GB" of memory is 80 GiB, 80 x 2^30 = 85,899,345,920 bytes, and drivers
# keep some of it for themselves, so memory is what devices report, where that is known.

_MIB, _GIB = 2**20, 2**30
_LLM_ANALYSIS = "llm-analysis gpu_configs"
_AICONFIGURATOR = "ai-dynamo/aiconfigurator@095f58a5 systems/{}.yaml"
_COLLECTION = "a table collected from secondary pages"
_LISTED = "reported by the driver, as listed in modal-labs/modal-client#2797"
_SMI = "reported by the driver (nvidia-smi), as noted in aiconfigurator's file"
_NOMINAL = "the sheet's size in GiB; a driver may report a little less"
# name: (dense FLOP/s, bytes/s, bytes, dtype, where the rates were read, where the memory was)
_DATASHEET_ROWS = {
    "V100 SXM": (
        125e12,
        0.90e12,
        32_510 * _MIB,
        "fp16",
        _LLM_ANALYSIS,
        "reported by the driver (nvidia-smi), public logs; also sold with 16 GB",
    ),
    "T4": (65e12, 0.32e12, 15_360 * _MIB, "fp16", "RajBhope gpu_catalog.json", _LISTED),
    "A100 40GB": (
        312e12,
        1.555e12,
        40_960 * _MIB,
        "bf16",
        _LLM_ANALYSIS,
        "reported by the driver (nvidia-smi), public logs",
    ),
    "A100 80GB PCIe": (312e12, 1.935e12, 80 * _GIB, "bf16", "a100_pcie", _NOMINAL),
    "A100 80GB SXM": (312e12, 2.039e12, 80 * _GIB, "bf16", "a100_sxm", _LISTED),
    "H100 PCIe": (756.5e12, 2.0e12, 80 * _GIB, "bf16", "h100_pcie", _NOMINAL),
    "H100 SXM": (
        989e12,
        3.35e12,
        80 * _GIB,
        "bf16",
        "h100_sxm",
        "the sheet's size in GiB; the driver reports 81,559 MiB (modal-labs/modal-client#2797)",
    ),
    "H200 SXM": (989e12, 4.8e12, 141 * _GIB, "bf16", "h200_sxm", _NOMINAL),
    "GH200 96GB": (
        989e12,
        4.0e12,
        97_871 * _MIB,
        "bf16",
        _COLLECTION,
        "reported by the driver (nvidia-smi), public logs; the GPU's own memory alone",
    ),
    "B200": (2250e12, 7.7e12, 180 * _GIB, "bf16", "b200_sxm", _NOMINAL),
    "B300": (2250e12, 7.75e12, 275_040 * _MIB, "bf16", "b300_sxm", _SMI),
    "L4": (121e12, 0.30e12, 23_034 * _MIB, "bf16", "l4", _LISTED),
    "L40S": (362.05e12, 0.864e12, 46_068 * _MIB, "bf16", "l40s", _SMI),
    "RTX 4090": (
        165e12,
        1.008e12,
        25_250_627_584,
        "bf16",
        "gist mikasenghaas d63ded03",
        "measured on a device, casys-kaist/LLMServingSim@5daddb21 bench/examples/RTX4090",
    ),
    "RTX PRO 6000": (467.8e12, 1.792e12, 97_887 * _MIB, "bf16", "rtx_pro_6000_server", _SMI),
    "MI300X": (
        1307e12,
        5.3e12,
        206_141_652_992,
        "bf16",
        _COLLECTION,
        "reported by the driver (rocm-smi), public logs",
    ),
}


def _hardware(
    name: str, flops: float, bandwidth: float, memory: float, dtype: str, rates: str, how: str
) -> Hardware:
    """One row of the table, its sources in a sentence."""
    where = _AICONFIGURATOR.format(rates) if " " not in rates else rates
    return Hardware(
        name,
        flops,
        bandwidth,
        memory,
        f"data-sheet figures, dense {dtype}, as transcribed in {where}; not read from the "
        f"vendor's own sheet; memory: {memory / _GIB:.2f} GiB = {memory / 1e9:.2f} GB, {how}",
    )


DATASHEET = {name: _hardware(name, *row) for name, row in _DATASHEET_ROWS.items()}


def datasheet(name: str) -> Hardware:
    """Figures of a GPU by name, from data sheets; upper and lower case do not matter.

    Args:
        name: a key of DATASHEET, such as "H100 SXM".

    Returns:
        Its Hardware; the provenance says where the figures were read.

    Raises:
        ValueError: no such entry; the message names the closest ones.
    """
    check_kind(str, "Give a name such as 'H100 SXM'.", name=name)
    by_lower = {known.lower(): hardware for known, hardware in DATASHEET.items()}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = get_close_matches(name.lower(), by_lower, n=2) or by_lower
    raise ValueError(
        f"no data sheet for {name!r} among the {len(DATASHEET)} known: a figure is quoted with its "
        f"source or not at all. Choose {' or '.join(by_lower[match].name for match in close)}, "
        "or call measure_hardware."
    )
