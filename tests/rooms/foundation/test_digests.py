"""Digests on the device: whatever changes a bit, or a place, changes the number; nothing else does."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from biggan.foundation import digests as module
from biggan.foundation.digests import digest, digests, weight

TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.int16,
         torch.uint8, torch.int8, torch.bool, torch.complex64, torch.complex128]  # fmt: skip


def of_bits(raw: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(dtype)


def any_bits(count: int, dtype: torch.dtype, seed: int = 0) -> bytes:
    """Return the bytes of ``count`` elements: any bits at all, NaNs among them."""
    draw = np.random.default_rng(seed)
    if dtype == torch.bool:
        return draw.integers(0, 2, count, dtype=np.uint8).tobytes()
    return draw.bytes(count * torch.empty(0, dtype=dtype).element_size())


def number(tensor: Tensor) -> int:
    return int(digest(tensor))


def by_definition(raw: bytes, size: int, block: int) -> int:
    """The same in Python's own integers, which never overflow."""
    kind = {1: np.uint8, 2: np.int16}.get(size, np.int32)
    found = 0
    words = [int(word) for word in np.frombuffer(raw, kind)]
    for first in range(0, len(words), block):
        part = sum(word * weight(place) for place, word in enumerate(words[first : first + block]))
        found = (found * module._NEXT + part) % (1 << 64)
    return found - (1 << 64) if found >> 63 else found


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_number_is_that_of_its_definition(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several blocks too, the last one short."""
    monkeypatch.setattr(module, "_BLOCK", 64)
    module._weights.cache_clear()
    try:
        for count in (0, 1, 7, 64, 301):
            raw = any_bits(count, dtype, count)
            size = torch.empty(0, dtype=dtype).element_size()
            assert number(of_bits(raw, dtype) if raw else torch.empty(0, dtype=dtype)) == by_definition(raw, size, 64)
    finally:
        module._weights.cache_clear()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_any_bit_that_changes_changes_the_number(dtype: torch.dtype) -> None:
    raw = any_bits(21, dtype)
    before = number(of_bits(raw, dtype))
    assert number(of_bits(raw, dtype)) == before, "NaNs equal themselves"
    seen = {before}
    for bit in range(len(raw) * 8):
        if dtype == torch.bool and bit % 8:
            continue  # a bool that is neither 0 nor 1 is none
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        seen.add(number(of_bits(bytes(changed), dtype)))
    assert len(seen) == 1 + (21 if dtype == torch.bool else len(raw) * 8), "all different, from each other too"


def test_any_bit_of_a_tensor_of_several_blocks_changes_the_number() -> None:
    draw = random.Random(0)
    values = of_bits(any_bits(2 * module._BLOCK + 77, torch.float32), torch.float32)
    before, words = number(values), values.view(torch.int32)
    for place in [
        0,
        module._BLOCK - 1,
        module._BLOCK,
        len(words) - 1,
        *(draw.randrange(len(words)) for _ in range(20)),
    ]:
        kept = words[place].clone()
        words[place] ^= -(1 << 31) if place % 2 else 1 << draw.randrange(31)
        assert number(values) != before, place
        words[place] = kept
    assert number(values) == before


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_elements_that_change_places_change_the_number(dtype: torch.dtype) -> None:
    values = of_bits(any_bits(24, dtype, 3), dtype)
    before, bits = number(values), values.view(torch.uint8).view(24, -1)
    for one in range(24):
        for other in range(one):
            swapped = bits.clone()
            swapped[[one, other]] = bits[[other, one]]
            same = torch.equal(bits[one], bits[other])
            assert (number(swapped.view(-1).view(dtype)) == before) == same, (one, other)
    assert number(values.flip(0)) != before


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_opposite_elements_that_change_places_change_the_number(dtype: torch.dtype) -> None:
    """They differ in the highest bit alone, which weights that are all odd, and no more, would not see."""
    values = torch.zeros(4096, dtype=dtype)
    seen = set()
    for place in range(1, 4096):
        values[0], values[place] = 1.0, -1.0
        seen.add(number(values))
        values[0], values[place] = -1.0, 1.0
        seen.add(number(values))
        values[place] = 0.0
    assert len(seen) == 2 * 4095


def test_zeros_of_both_signs_differ_and_blocks_change_places() -> None:
    assert number(torch.tensor([0.0])) != number(torch.tensor([-0.0]))
    one, other = torch.zeros(2 * module._BLOCK), torch.zeros(2 * module._BLOCK)
    one[5], other[module._BLOCK + 5] = 1.0, 1.0
    assert number(one) != number(other)


def test_how_a_tensor_lies_in_memory_does_not_matter() -> None:
    values = torch.randn(3, 4, 5, 6)
    for other in (
        values.to(memory_format=torch.channels_last),
        values.transpose(0, 3).contiguous().transpose(0, 3),
        torch.stack([values, values], -1)[..., 1],
        torch.nn.Parameter(values),
    ):
        assert number(other) == number(values)


def test_weights_are_odd_and_low_halves_all_different() -> None:
    weights = module._weights(torch.device("cpu"))
    assert [int(weights[i]) % (1 << 64) for i in (0, 1, 7, 65_432)] == [weight(i) for i in (0, 1, 7, 65_432)]
    low = weights & 0xFFFFFFFF
    assert bool((low % 2 == 1).all())
    assert len(low.unique()) == len(weights)


def test_a_name_has_the_type_the_shape_and_the_number() -> None:
    tensors = {"a": torch.zeros(2, 3), "b": torch.ones((), dtype=torch.int64), "c": torch.empty(0)}
    assert digests(tensors) == {
        "a": ("torch.float32 (2, 3)", 0),
        "b": ("torch.int64 ()", number(tensors["b"])),
        "c": ("torch.float32 (0,)", 0),
    }
    assert digests({}) == {}
