"""Classes chosen, merged, dropped; data sets mixed; how often what is shown."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.data.choosing.curation import read_merges
from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource
from biggan.data.opening import open_apart, open_held_out, open_source
from biggan.data.order.epochs import DataOrder, ShardOrder, StratifiedOrder, make_order, real_frequencies
from biggan.data.order.transforms import Transforms, prepared_size
from biggan.foundation.errors import UserError
from tests.conftest import DATA, tiny, tiny_config

MakeFolder = Callable[..., Path]


def opened(path: object, **values: Any) -> ImageSource:
    return open_source(DataConfig(path=str(path), **values), (16, 16))


def names_of(source: ImageSource) -> list[tuple[str, str]]:
    return [(source.name(i), source.class_names[source.labels[i]]) for i in range(len(source))]


# -- choosing ----------------------------------------------------------------------------------------------------------


def test_classes_are_kept_by_name_and_index(make_folder: MakeFolder) -> None:
    root = make_folder({"7": 1, "ant": 2, "bee": 3, "cow": 1})
    source = opened(root, classes=("id:3", "ant", "7"))
    assert source.class_names == ("7", "ant", "cow")
    assert source.class_counts().tolist() == [1, 2, 1]
    assert names_of(source)[1] == ("ant/0000.png", "ant")
    assert np.array_equal(source.read(3), opened(root).read(6))
    assert "using 4 of 7 images, 3 of 4 classes" in source.remarks
    with pytest.raises(UserError, match=r"no such class; nearest: bee"):
        opened(root, classes=("beee",))
    with pytest.raises(UserError, match="id:0 to id:3"):
        opened(root, classes=("id:4",))


def test_small_classes_are_left_out(make_folder: MakeFolder) -> None:
    root = make_folder({"ant": 2, "bee": 3, "cow": 1})
    source = opened(root, min_per_class=2)
    assert source.class_names == ("ant", "bee")
    assert "left out 1 class with fewer than 2 images: cow" in source.remarks
    with pytest.raises(UserError, match="no class is left; the largest of 3 has 3"):
        opened(root, min_per_class=4)


def test_labels_dropped_and_random(make_folder: MakeFolder) -> None:
    root = make_folder({"ant": 20, "bee": 30})
    dropped = opened(root, labels="unconditional")
    assert (dropped.class_names, dropped.class_counts().tolist()) == ((), [50])
    random = opened(root, labels="random", random_classes=5)
    assert len(random.class_names) == 5
    assert (random.class_counts() > 3).all()
    assert np.array_equal(random.labels, opened(root, labels="random", random_classes=5).labels)
    only = opened(root, labels="unconditional", classes=("bee",))
    assert len(only) == 30
    with pytest.raises(UserError, match="choose among classes"):
        opened(root / "ant", classes=("ant",))


# -- merging -----------------------------------------------------------------------------------------------------------


def test_merges_follow_one_another(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"a": 1, "b": 2, "c": 3, "d": 4})
    (tmp_path / "list").write_text('# comment\nm() { move "$1" "$2"; }\na b; m b c\nd "new name"\nnowhere c\n')
    source = opened(root, merge=str(tmp_path / "list"))
    assert source.class_names == ("c", "new name")
    assert source.class_counts().tolist() == [6, 4]
    assert "merged 3 classes into others; left are 2 of 4" in source.remarks
    assert "1 entries of the merge list name no class: nowhere" in source.remarks
    kept = opened(root, merge=str(tmp_path / "list"), classes=("c",), min_per_class=5)
    assert kept.class_names == ("c",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b c d", "line 1: 'a b c d' is not FROM TO"),
        ("\na", "line 2: 'a' is not FROM TO"),
        ("", "holds no entry"),
        ("a a", "'a' is merged into itself"),
        ("x y", "none of its 1 entries names a class"),
        ("a 'b", "No closing quotation"),
    ],
)
def test_wrong_merge_lists(make_folder: MakeFolder, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(UserError, match=message):
        opened(make_folder({"a": 1, "b": 1}), merge=str(tmp_path / "list"))
    with pytest.raises(UserError, match="cannot be read"):
        opened(tmp_path / "images", merge=str(tmp_path / "none"))


def test_the_list_by_which_characters_were_merged(make_folder: MakeFolder) -> None:
    """A real list, as it was once applied to 1,000 folders of characters."""
    path = DATA / "character_merges.txt"
    pairs = read_merges(path)
    assert len(pairs) > 90
    assert ("sailor.moon", "tsukino.usagi") in pairs
    names = sorted({name for pair in pairs for name in pair})
    root = make_folder(dict.fromkeys(names, 1), size=(4, 4))
    source = opened(root, merge=str(path))
    # Moving one folder after the other on disk gives the same classes.
    where = {name: name for name in names}
    for old, new in pairs:
        where = {name: new if now == old else now for name, now in where.items()}
    assert source.class_names == tuple(sorted(set(where.values())))
    assert dict(names_of(source)) == {f"{n}/0000.png": where[n] for n in names}


# -- mixing ------------------------------------------------------------------------------------------------------------


def test_mixing_joins_classes_by_name(make_folder: MakeFolder) -> None:
    one, two = make_folder({"ant": 2, "bee": 3}, name="one"), make_folder({"bee": 4, "cow": 1}, name="two")
    source = opened(one, mix=(str(two),))
    assert source.class_names == ("ant", "bee", "cow")
    assert source.class_counts().tolist() == [2, 7, 1]
    assert np.array_equal(source.read(6), opened(two).read(1))
    assert np.array_equal(source.read_many(np.array([9, 0, 6])), [source.read(i) for i in (9, 0, 6)])
    apart = opened(one, mix=(str(two),), mix_classes="apart")
    assert apart.class_names == ("one/ant", "one/bee", "two/bee", "two/cow")
    assert "mixed: 5 of" in apart.remarks[0]
    with pytest.raises(UserError, match="has no classes and the others have"):
        opened(one, mix=(str(two / "bee"),))
    with pytest.raises(UserError, match=r"a weight .*or none"):
        opened(one, mix=(f"{two}=2", str(one)))
    with pytest.raises(UserError, match="must be positive"):
        opened(one, mix=(f"{two}=0",))


def test_mixing_gray_and_colour(make_folder: MakeFolder) -> None:
    one = make_folder({"0": 2}, name="one")
    source = opened("digits", mix=(str(one),))
    assert source.channels == 3
    assert source.class_counts()[0] == 178 + 2


def test_weights_are_how_often(make_folder: MakeFolder) -> None:
    one, two = make_folder({"ant": 2, "bee": 3}, name="one"), make_folder({"bee": 4, "cow": 1}, name="two")
    config = DataConfig(path=str(one), mix=(f"{two}=3",))
    source = open_source(config, (16, 16))
    order = make_order(source, config, 0)
    seen = np.bincount(order.indices(0, 65_536), minlength=10)
    assert abs(seen[:5].sum() - 16_384) <= 1
    assert seen[:5].max() - seen[:5].min() <= 1, "within a data set every image as often"
    frequencies = real_frequencies(source, config)
    assert np.allclose(frequencies / frequencies.sum(), [0.1, 0.15 + 0.6, 0.15])
    uniform = dataclasses.replace(config, label_sampling="uniform")
    seen = np.bincount(make_order(source, uniform, 0).indices(0, 65_536), minlength=10)
    assert abs(seen[:2].sum() - 8_192) <= 2
    assert abs(seen[9] - 24_576) <= 2


# -- how often ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sampling", "expected"), [("data", [1, 4, 16]), ("sqrt", [1, 2, 4]), ("uniform", [1, 1, 1])])
def test_label_sampling_of_real_images(make_folder: MakeFolder, sampling: Any, expected: list[int]) -> None:
    config = DataConfig(path=str(make_folder({"few": 1, "some": 4, "many": 16})), label_sampling=sampling)
    source = open_source(config, (16, 16))
    images = make_order(source, config, 0).indices(0, 65_536)
    counts = np.bincount(source.labels[images])[[0, 2, 1]]
    assert np.allclose(counts / 65_536, np.array(expected) / sum(expected), atol=1e-3)
    frequencies = real_frequencies(source, config)[[0, 2, 1]]
    assert np.allclose(frequencies / frequencies.sum(), np.array(expected) / sum(expected))


@pytest.mark.parametrize("sampling", ["data", "sqrt", "uniform"])
def test_label_sampling_of_fakes(make_folder: MakeFolder, tmp_path: Path, sampling: Any) -> None:
    from biggan.foundation.groups import Share
    from biggan.training.draws import FakeDraws
    from biggan.training.setup import train

    root = make_folder({"few": 1, "many": 9})
    config = tiny_config(
        tmp_path / "run", data=DataConfig(path=str(root)), model=tiny(channels=3), duration=16, fake_labels=sampling
    )
    train(config)  # the option is taken
    weights = {"data": [1, 9], "sqrt": [1, 3], "uniform": [1, 1]}[sampling]
    draws = FakeDraws(seed=0, z_size=4, class_weights=np.array(weights, dtype=np.float64))
    _, labels = draws.draw("generator", 0, Share(20_000))
    assert abs(float((labels == 0).double().mean()) - weights[0] / sum(weights)) < 0.01


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(0, 2_000),
    st.integers(1, 300),
    st.integers(0, 2),
)
def test_stratified_orders_are_one_sequence(sizes: list[int], first: int, count: int, seed: int) -> None:
    """Pieces fit together, and each stratum passes its images evenly."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    offsets = [np.arange(a, b) for a, b in itertools.pairwise(starts)]
    members = [DataOrder(size, seed, str(i)) for i, size in enumerate(sizes)]
    order = StratifiedOrder(list(members), offsets, np.arange(1.0, len(sizes) + 1), seed, 600)
    whole = order.indices(first, count)
    split = count // 2
    assert np.array_equal(
        np.concatenate([order.indices(first, split), order.indices(first + split, count - split)]), whole
    )
    round_ = np.bincount(order.indices(600, 600), minlength=sum(sizes))
    for images, share in zip(offsets, order.counts, strict=True):
        assert round_[images].sum() == share
        assert round_[images].max() - round_[images].min() <= 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=9), st.integers(1, 4), st.integers(0, 3))
def test_shard_orders_use_few_shards_at_a_time(sizes: list[int], group: int, epoch: int) -> None:
    shards = np.repeat(np.arange(len(sizes)), sizes)
    order = ShardOrder(shards, 0, group)
    images = order.indices(epoch * len(shards), len(shards))
    assert sorted(images) == list(range(len(shards))), "every image once an epoch"
    passed = shards[images]
    spans = [np.flatnonzero(passed == shard) for shard in range(len(sizes))]
    for position in range(len(shards)):
        open_now = sum(int(span[0]) <= position <= int(span[-1]) for span in spans)
        assert open_now <= group


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 4), st.integers(0, 60), st.integers(0, 60))
def test_every_image_once_an_epoch_whatever_happens(length: int, batch: int, ranks: int, stop: int, more: int) -> None:
    """Any batch, ranks and resume points: what all ranks see, joined, is the one sequence."""
    from biggan.foundation.groups import Share

    order = DataOrder(length, 1)
    seen: list[int] = []
    for part, (size, count) in enumerate([(batch, ranks), (max(batch // 2, 1), 1), (batch + 3, min(ranks + 1, batch))]):
        size, count = max(size, count), count
        for _ in range((stop, more, 7)[part] // size):
            position = len(seen)
            groups = [run for rank in range(count) for run in Share(size, rank, count, size // count).runs]
            for place, images in sorted(groups):
                seen += order.indices(position + place, images).tolist()
    for start in range(0, len(seen) - length + 1, length):
        assert sorted(seen[start : start + length]) == list(range(length))


# -- transforms --------------------------------------------------------------------------------------------------------


def transforms(**values: Any) -> Transforms:
    return Transforms(DataConfig(path="x", **values), (16, 12), 0)


def test_mirroring_belongs_to_positions() -> None:
    images = torch.randint(256, (400, 3, 16, 12), dtype=torch.uint8)
    done = transforms(flip=True)(images, np.arange(100, 500))
    mirrored = [bool(torch.equal(a, b.flip(2))) for a, b in zip(done, images, strict=True)]
    assert all(m or torch.equal(a, b) for m, a, b in zip(mirrored, done, images, strict=True))
    assert 150 < sum(mirrored) < 250
    assert torch.equal(transforms(flip=True)(images[50:60], np.arange(150, 160)), done[50:60])
    assert torch.equal(transforms()(images, np.arange(400)), images)


def test_random_windows() -> None:
    config = DataConfig(path="x", random_crop=True)
    assert prepared_size(config, (16, 12)) == (18, 14)
    images = torch.arange(18 * 14, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(1, 1, 18, 14)
    done = transforms(random_crop=True)(images.expand(500, 2, 18, 14), np.arange(500))
    assert done.shape == (500, 2, 16, 12)
    assert done.is_contiguous()
    windows = {(y, x): images[0, 0, y : y + 16, x : x + 12] for y in range(3) for x in range(3)}
    found = [next(place for place, window in windows.items() if torch.equal(image[1], window)) for image in done]
    assert len(set(found)) == 9, "every place is taken"
    again = transforms(random_crop=True)(images.expand(3, 2, 18, 14), np.array([9, 7, 8]))
    assert torch.equal(again, done[[9, 7, 8]])


def test_random_crops_and_flips_are_new_at_each_access(tmp_path: Path) -> None:
    """A data set that is held in memory is not frozen in its first transform."""
    images = torch.randint(256, (1, 1, 18, 14), dtype=torch.uint8)
    change = transforms(random_crop=True, flip=True)
    seen = {change(images, np.array([position])).numpy().tobytes() for position in range(0, 200)}
    assert len(seen) == 18


def test_a_part_of_each_class() -> None:
    whole = open_source(DataConfig(path="digits"), (8, 8))
    parts = [open_source(DataConfig(path="digits", fraction=0.1, fraction_draw=draw), (8, 8)) for draw in (0, 0, 1)]
    assert [len(part) for part in parts] == [179, 179, 179], "a tenth of 174 images is 17"
    assert list(parts[0].class_counts()) == [round(0.1 * count) for count in whole.class_counts()]
    assert parts[0].key() == parts[1].key() != parts[2].key()
    assert parts[0].class_names == whole.class_names
    images = {whole.read(index).tobytes(): int(whole.labels[index]) for index in range(len(whole))}
    assert all(images[parts[0].read(index).tobytes()] == parts[0].labels[index] for index in range(179))
    assert "trains on 179 of 1,797 images, 0.1 of each class" in parts[0].remarks[-1]
    few = open_source(DataConfig(path="digits", fraction=1e-9), (8, 8))
    assert list(few.class_counts()) == [1] * 10, "no class is empty"
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(UserError, match=r"--data.fraction"):
            DataConfig(path="digits", fraction=wrong)


# -- held out ----------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(holdout=st.floats(0.01, 0.9), fraction=st.sampled_from([1.0, 0.3]))
def test_held_out_images_are_a_part_of_each_class_and_no_others(holdout: float, fraction: float) -> None:
    whole = open_source(DataConfig(path="digits"), (16, 16))
    config = DataConfig(path="digits", holdout=holdout, fraction=fraction)
    kept, held = open_apart(config, (16, 16))
    assert held is not None
    assert held.class_counts().tolist() == [round(holdout * count) for count in whole.class_counts()]
    names = [{source.name(i) for i in range(len(source))} for source in (kept, held, whole)]
    assert not names[0] & names[1]
    if fraction == 1:
        assert names[0] | names[1] == names[2]
    else:  # a part of what is left, and the same held-out images
        assert held.key() == open_apart(dataclasses.replace(config, fraction=1.0), (16, 16))[1].key()  # type: ignore[union-attr]
    assert len({source.key() for source in (kept, held, whole)}) == 3
    assert kept.key() == open_source(config, (16, 16)).key()
    again = open_held_out(config, (16, 16))
    assert again is not None
    assert again.key() == held.key()
    assert kept.class_names == held.class_names == whole.class_names


def test_a_smaller_part_is_held_out_of_a_larger_one() -> None:
    few, many = (open_held_out(DataConfig(path="digits", holdout=part), (16, 16)) for part in (0.1, 0.3))
    assert few is not None
    assert many is not None
    assert {few.name(i) for i in range(len(few))} < {many.name(i) for i in range(len(many))}


def test_nothing_is_held_out_unless_asked_for() -> None:
    assert open_held_out(DataConfig(path="digits"), (16, 16)) is None
    assert open_apart(DataConfig(path="digits"), (16, 16))[1] is None
    keys = {open_source(DataConfig(path="digits", **values), (16, 16)).key() for values in ({}, {"holdout": 0.0})}
    assert len(keys) == 1


def test_a_class_that_would_be_empty_is_named(make_folder: Callable[..., Path]) -> None:
    folder = str(make_folder({"rose": 9, "tulip": 1}))
    with pytest.raises(
        UserError, match=r"--data.holdout 0.6: nothing would be left of class 'tulip', which has 1 image;"
    ):
        open_source(DataConfig(path=folder, holdout=0.6), (8, 8))
    with pytest.raises(UserError, match=r"--data.holdout 0.01: no class has an image to spare, the largest has 9"):
        open_source(DataConfig(path=folder, holdout=0.01), (8, 8))
    with pytest.raises(UserError, match=r"--data.holdout 1.0: .*below 1"):
        DataConfig(path=folder, holdout=1.0)
    kept, held = open_apart(DataConfig(path=folder, holdout=0.3), (8, 8))
    assert held is not None
    assert (len(kept), len(held)) == (7, 3)
