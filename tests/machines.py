"""The tests on every kind of machine that this one can play: ``python -m tests.machines [--narrowest] [PYTEST WORDS]``.

PyTorch and oneDNN choose their kernels by instruction set; both can be told to do with less. What the CPU lacks is
skipped and said. Exit status 1 if the tests failed anywhere.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

CAPABILITIES = {"default": "", "avx2": "avx2", "avx512": "avx512f"}
"""What ATEN_CPU_CAPABILITY may be, and the flag that a CPU must have for it."""
ISAS = {"SSE41": "sse4_1", "AVX2": "avx2", None: ""}
"""What ONEDNN_MAX_CPU_ISA may be (None: unset, all that there is), and the flag."""
THREADS = (1, 2)
NARROWEST = ("default", "SSE41", 1)


def cpu_flags() -> set[str]:
    """Return the instruction sets of this CPU; none where the system does not tell."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def on_recorded_instructions() -> bool:
    """Tell whether PyTorch and oneDNN both use AVX2, with which the float32 parity sequences were recorded."""
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "DEFAULT")).upper()
    widest = isa not in ("SSE41", "AVX") and not isa.startswith("AVX2") and "avx512f" in cpu_flags()
    onednn_is_avx2 = isa.startswith("AVX2") or not (isa in ("SSE41", "AVX") or widest)
    return torch.backends.cpu.get_cpu_capability() == "AVX2" and onednn_is_avx2


def main(words: Sequence[str]) -> int:
    """Run the tests on each machine and print one line for each."""
    narrowest = "--narrowest" in words
    words = [word for word in words if word != "--narrowest"]
    machines = [NARROWEST] if narrowest else list(itertools.product(CAPABILITIES, ISAS, THREADS))
    flags, failed, told = cpu_flags(), 0, []
    for capability, isa, threads in machines:
        name = f"ATEN_CPU_CAPABILITY={capability} ONEDNN_MAX_CPU_ISA={isa or 'unset'} OMP_NUM_THREADS={threads}"
        missing = {flag for flag in (CAPABILITIES[capability], ISAS[isa]) if flag and flag not in flags}
        if missing:
            told.append(f"SKIPPED {name}: this CPU has no {' and no '.join(sorted(missing))}")
            print(told[-1], flush=True)
            continue
        environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
        environment |= {"ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": str(threads)}
        environment |= {"ONEDNN_MAX_CPU_ISA": isa} if isa else {}
        print(f"======== {name}", flush=True)
        status = subprocess.run([sys.executable, "-m", "pytest", *words], env=environment, check=False).returncode
        failed += status != 0
        told.append(f"{'failed' if status else 'passed'}  {name}")
    print("\n".join(told))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
