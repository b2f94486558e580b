"""Names of ImageNet's classes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import biggan
from biggan.cli.selection import choose_classes
from biggan.models.class_names import IMAGENET_CLASSES, distinct, imagenet_class_names
from tests.conftest import tiny
from tests.snapshots import write


def test_imagenet_has_a_thousand_names_and_each_is_one_class(tmp_path: Path) -> None:
    names = imagenet_class_names()
    assert (len(names), len(set(names))) == (IMAGENET_CLASSES, IMAGENET_CLASSES)
    assert (names[0], names[207], names[999]) == ("tench", "golden retriever", "toilet tissue")
    path = write(tmp_path / "1.safetensors", tiny("biggan", channels=3, classes=IMAGENET_CLASSES), names)
    sampler = biggan.load(path, device="cpu")
    assert [sampler.class_index(name) for name in names] == list(range(IMAGENET_CLASSES))
    assert choose_classes(sampler, ["golden retriever", "Tench,School Bus"]) == [207, 0, names.index("school bus")]


def test_names_that_stand_twice_are_followed_by_their_index() -> None:
    assert distinct(["crane", "cat", "crane"]) == ("crane (0)", "cat", "crane (2)")
    assert distinct(["a", "a", "a (0)"]) == ("a (0)'", "a (1)", "a (0)")


@given(st.lists(st.sampled_from(["a", "b", "a (0)", "a (1)", "b (2)", "a (0)'"]), max_size=8))
def test_whatever_the_names_they_become_distinct(names: list[str]) -> None:
    found = distinct(names)
    assert len(set(found)) == len(found) == len(names)
    assert all(new == old for new, old in zip(found, names, strict=True) if names.count(old) == 1)
