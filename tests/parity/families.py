"""Which runner belongs to which reference implementation: one file, one line."""

from __future__ import annotations

from collections.abc import Callable

from tests.parity import biggan_pytorch, compare_gan, generators, metrics, others, r3gan, run_folder
from tests.parity.case import Case
from tests.parity.comparison import Comparison

FAMILIES: dict[str, Callable[[Case, Comparison], None]] = {
    "biggan_pytorch": biggan_pytorch.run,
    "metrics": metrics.run,
    "mmgen": others.run_mmgeneration,
    "studiogan": others.run_studiogan,
    "hf_pretrained": generators.run_huggingface,
    "to_uint8": generators.run_bytes,
    "tfhub": generators.run_tfhub,
    "biggan_pytorch_run": run_folder.run,
    "compare_gan": compare_gan.run,
    "r3gan": r3gan.run,
}
