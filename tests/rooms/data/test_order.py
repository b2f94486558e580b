"""Which image comes when, and how it gets there."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.data.contract import ImageArray, ImageSource, SourceNotes
from biggan.data.order.epochs import DataOrder
from biggan.data.order.loader import Reader, default_workers, make_loader
from biggan.foundation.groups import Share
from tests.rooms.data.helpers import (
    MakeFolder,
    opened,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 200), st.integers(1, 90), st.integers(0, 3))
def test_the_order_is_one_sequence(length: int, first: int, count: int, seed: int) -> None:
    """Whatever is asked for is a piece of one sequence that shows each image once an epoch."""
    order = DataOrder(length, seed)
    whole = order.indices(0, first + count)
    assert np.array_equal(order.indices(first, count), whole[first:])
    for epoch in range(len(whole) // length):
        assert sorted(whole[epoch * length : (epoch + 1) * length]) == list(range(length))


def test_epochs_differ() -> None:
    order = DataOrder(100, 0)
    assert not np.array_equal(order.indices(0, 100), order.indices(100, 100))
    assert not np.array_equal(order.indices(0, 100), DataOrder(100, 1).indices(0, 100))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 30))
def test_ranks_share_a_batch(ranks: int, batch: int, first: int) -> None:
    batch = max(batch, ranks)
    source, order = opened("digits"), DataOrder(1797, 0)
    shares = [Share(batch, rank, ranks) for rank in range(ranks)]
    assert sum(s.size for s in shares) == batch
    assert max(s.size for s in shares) - min(s.size for s in shares) <= 1
    whole = _batches(source, order, first, Share(batch, 0, 1), 2)
    parts = [_batches(source, order, first, share, 2) for share in shares]
    for step in range(2):
        joined = np.concatenate([part[step].images.numpy() for part in parts])
        assert np.array_equal(joined, whole[step].images.numpy())


def _batches(source: ImageSource, order: DataOrder, first: int, share: Any, count: int, **values: Any) -> list[Any]:
    loader = make_loader(
        source,
        order,
        first=first,
        share=lambda _: share,
        **({"workers": 0} | values),
    )
    return [next(loader) for _ in range(count)]


def test_a_data_set_smaller_than_a_batch(make_folder: MakeFolder) -> None:
    source = opened(make_folder({"a": 2, "b": 1}))
    batch = _batches(source, DataOrder(3, 0), 0, Share(8, 0, 1), 1)[0]
    assert batch.images.shape == (8, 3, 16, 16)
    assert sorted(np.bincount(batch.labels.numpy()).tolist()) == sorted(np.bincount(batch.labels.numpy()))


def test_workers_change_nothing(make_folder: MakeFolder) -> None:
    source = opened(make_folder({"a": 6, "b": 5}))
    alone = _batches(source, DataOrder(11, 0), 4, Share(3, 0, 1), 5)
    helped = _batches(source, DataOrder(11, 0), 4, Share(3, 0, 1), 5, workers=2)
    for one, other in zip(alone, helped, strict=True):
        assert np.array_equal(one.images.numpy(), other.images.numpy())
        assert np.array_equal(one.labels.numpy(), other.labels.numpy())


class Counting(ImageSource):
    """Another source, and how often each of its images was read."""

    def __init__(self, base: ImageSource) -> None:
        super().__init__(base.resolution)
        self.base, self.labels, self.class_names = base, base.labels, base.class_names
        self.reads: Counter[int] = Counter()

    def read(self, index: int) -> ImageArray:
        self.reads[index] += 1
        return self.base.read(index)

    def notes(self) -> SourceNotes:
        return self.base.notes()

    def key(self) -> str:
        return self.base.key()


def test_no_file_is_decoded_twice_where_all_images_can_be_kept(make_folder: MakeFolder) -> None:
    source = Counting(opened(make_folder({"a": 6, "b": 5})))
    assert default_workers(source, 1) == 0
    kept = _batches(source, DataOrder(11, 0), 4, Share(5, 0, 1), 9)
    assert set(source.reads.values()) == {1}
    assert len(source.reads) == 11
    anew = Reader(source)
    for batch in kept:
        order = DataOrder(11, 0).indices(int(batch.positions[0]), 5)
        assert np.array_equal(anew[batch.positions, order].images, batch.images.numpy())
    source.resolution = (2**13, 2**13)  # a folder of 2 GB
    assert default_workers(source, 1) > 0
    assert default_workers(source, 10_000) == 1


def test_batches_stay_bytes() -> None:
    batch = _batches(opened("digits"), DataOrder(1797, 0), 0, Share(3, 0, 1), 1)[0]
    assert str(batch.images.dtype) == "torch.uint8"
    assert str(batch.labels.dtype) == "torch.int64"
    assert batch.images.is_contiguous()
