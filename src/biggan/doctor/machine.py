"""The machine: devices, exactness of their arithmetic, memory, disk, cache, network."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import torch

from biggan.doctor.finding import Finding, shown
from biggan.foundation.addresses import opened
from biggan.foundation.devices import choose_device, take_device
from biggan.foundation.downloads import cache_folder
from biggan.foundation.files import format_bytes, free_space
from biggan.foundation.memory import free_memory

PLACES = ("https://github.com", "https://huggingface.co")
"""Where published weights are."""
PATIENCE = 5.0
"""Seconds for each."""
LITTLE_MEMORY = 2 * 2**30
LITTLE_DISK = 5 * 2**30
ROUNDING = 1e-5
"""Relative error above which a product of float32 numbers is not one of float32: TF32 has about 3e-4."""


def check_device(name: str) -> Finding:
    """Which device computes."""
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        listed = ", ".join(f"{card.name} ({format_bytes(card.total_memory)})" for card in cards)
        text = f"CUDA {torch.version.cuda}: {listed}"
    elif torch.backends.mps.is_available():
        text = "Metal"
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        text = f"CPU: {cores} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
        if shutil.which("nvidia-smi"):
            built = "for CUDA" if torch.version.cuda else "without CUDA"
            return Finding(
                "device",
                "warning",
                f"{text}. There is an NVIDIA driver, but this PyTorch ({built}) sees no GPU: install the PyTorch that "
                "fits the driver (nvidia-smi says which CUDA it can do)",
            )
    chosen = choose_device(name)
    torch.zeros(8, device=chosen).sum().item()
    return Finding("device", "ok", f"{text}; {name} is {chosen.type}")


def check_precision(name: str) -> Finding:
    """Whether float32 is float32 there, and which narrower numbers it has."""
    device = choose_device(name)
    take_device(device)
    generator = torch.Generator().manual_seed(0)
    images, filters = (torch.randn(shape, generator=generator) for shape in ((2, 16, 16, 16), (16, 16, 3, 3)))
    exact = torch.nn.functional.conv2d(images.double(), filters.double())
    found = torch.nn.functional.conv2d(images.to(device), filters.to(device)).cpu().double()
    error = float((found - exact).norm() / exact.norm())
    narrow = []
    for kind, word in ((torch.bfloat16, "bfloat16"), (torch.float16, "float16")):
        try:
            product = torch.nn.functional.conv2d(images.to(device, kind), filters.to(device, kind)).float()
        except RuntimeError:
            continue
        if bool(torch.isfinite(product).all()):
            narrow.append(word)
    text = f"float32 convolutions are off by {error:.0e}; also {', '.join(narrow) or 'no narrower numbers'}"
    if not error < ROUNDING:
        return Finding(
            "precision",
            "broken",
            f"{text}: not float32 arithmetic; update driver and PyTorch, or --device cpu",
        )
    return Finding("precision", "ok", text)


def check_compiler(name: str) -> Finding:
    """Whether torch.compile can work, which training uses by default on CUDA alone."""
    compiler = next((word for word in ("cc", "gcc", "clang", "cl") if shutil.which(word)), None)
    needed = choose_device(name).type == "cuda"
    if compiler is None and needed:
        return Finding("compiler", "warning", "no C compiler, which torch.compile needs; install gcc, or --compile off")
    return Finding("compiler", "ok", compiler or "none; --compile on would need one")


def check_memory() -> Finding:
    """Whether there is memory for more than the smallest networks."""
    free = free_memory()
    if free >= 2**62:
        return Finding("memory", "ok", "this system does not say how much is free")
    if free < LITTLE_MEMORY:
        text = f"{format_bytes(free)} free: enough for small networks only; close other programs, or --micro-batch 1"
        return Finding("memory", "warning", text)
    return Finding("memory", "ok", f"{format_bytes(free)} free")


def check_disk() -> Finding:
    """Whether runs can be written where the command is called."""
    folder = Path.cwd()
    if not os.access(folder, os.W_OK):
        return Finding("disk", "warning", "this folder cannot be written to; call biggan elsewhere, or give --run-dir")
    free = free_space(folder)
    if free < LITTLE_DISK:
        text = (
            f"{format_bytes(free)} free here; a checkpoint of BigGAN at 128 px takes about 2: make room, or --run-dir"
        )
        return Finding("disk", "warning", text)
    return Finding("disk", "ok", f"{format_bytes(free)} free here")


def check_cache() -> Finding:
    """Whether what is fetched and computed can be kept."""
    folder = cache_folder()
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding(
            "cache", "warning", f"{shown(folder)} cannot be written to: nothing is kept; set BIGGAN_CACHE to a folder"
        )
    return Finding("cache", "ok", f"{shown(folder)}, {format_bytes(free_space(folder))} free")


def check_network(*, offline: bool) -> Finding:
    """Whether published weights could be fetched; training needs no network."""
    if offline:
        return Finding("network", "ok", "not looked at (--offline)")
    closed = []
    for place in PLACES:
        try:
            opened(place, {}, PATIENCE).close()
        except Exception:  # whose message may hold the address of a proxy, with its password
            closed.append(place)
    if closed:
        return Finding(
            "network",
            "warning",
            f"no answer from {', '.join(closed)}: fetch weights elsewhere and give their paths "
            "(--features.weights), or --features classifier, which needs none",
        )
    return Finding("network", "ok", f"{', '.join(PLACES)} answer")


def check_text() -> Finding:
    """Whether names of classes can be printed as they are."""
    encoding = (getattr(sys.stdout, "encoding", None) or "unknown").lower()
    if encoding.replace("-", "") != "utf8":
        text = f"the output is {encoding}: other letters are printed as escapes; set PYTHONUTF8 to 1"
        return Finding("text", "warning", text)
    return Finding("text", "ok", "UTF-8")
