"""Every kind of source over one set of images: the contract, the same batches and weights."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biggan.data.configuration import DataConfig
from biggan.data.contract import SOURCES
from biggan.data.inspection import card
from biggan.data.opening import open_source
from biggan.data.order.epochs import make_order
from biggan.data.order.loader import make_loader
from biggan.foundation.groups import Share
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.data_kinds import NAMELESS, NAMES, SIDE, WRITERS
from tests.rooms.data.helpers import images
from tests.rooms.data.helpers import opened_as_stored as opened


def test_every_registered_source_is_written_here() -> None:
    assert {kind for kind, _ in WRITERS.values()} | {"digits"} == set(SOURCES)


def test_the_kind_is_recognised(written: tuple[str, str]) -> None:
    title, path = written
    assert next(name for name in SOURCES if SOURCES[name].matches(path)) == WRITERS[title][0]


def test_the_contract(written: tuple[str, str]) -> None:
    title, path = written
    source = opened(path)
    assert len(source) == len(images().labels)
    assert np.array_equal(source.labels, images().labels)
    assert source.labels.dtype == np.int64
    names = tuple(map(str, range(10))) if title in NAMELESS else NAMES
    assert source.class_names == names
    everything = source.read_many(np.arange(len(source)))
    assert everything.dtype == np.uint8
    assert np.array_equal(everything, images().pixels)
    assert np.array_equal(source.read(7), images().pixels[7])
    copy = pickle.loads(pickle.dumps(source))  # as a worker process that is spawned gets it
    assert np.array_equal(copy.read_many(np.array([3, 1])), images().pixels[[3, 1]])
    assert len(pickle.dumps(source)) < 60_000 or title.startswith(("CIFAR", "compressed")), "no pixels travel"
    assert source.key() == opened(path).key()
    assert len(source.key()) >= 32
    assert source.encoded(0) != source.encoded(1)
    assert source.name(0)
    assert source.notes().examined == len(source)
    shown = card.text(card.describe(source, DataConfig()))
    assert f"{len(source)} images" in shown
    assert names[0] in shown


def test_another_size_and_channels(written: tuple[str, str]) -> None:
    """What is not stored at the size asked for is prepared by the same function everywhere."""
    from biggan.data.preparation.fitting import Preparation, fit_array

    _, path = written
    for crop in ("center", "random"):
        source = opened(path, (24, 16), crop=crop)
        how = Preparation(resolution=(24, 16), channels=3, crop=crop)  # type: ignore[arg-type]
        assert np.array_equal(source.read(5), fit_array(images().pixels[5], how))
    assert opened(path, channels=1).read(0).shape == (1, SIDE, SIDE)


def test_the_same_batches_and_weights_after_20_steps(written: tuple[str, str], tmp_path: Path) -> None:
    """Flips, random crops and workers included."""
    from biggan.training.checkpoint import CheckpointStore
    from biggan.training.setup import train

    def config(path: str, name: str) -> Any:
        return tiny_config(
            tmp_path / name,
            data=DataConfig(path=path, flip=True, random_crop=True, workers=0),
            model=tiny(resolution=(16, 16), channels=3),
            duration=20 * 8,
        )

    title, path = written
    plain = train_once(tmp_path)
    outcome = train(config(path, "run"))
    store = CheckpointStore(outcome.run_dir, config(path, "run").checkpoint)
    newest = store.newest()
    assert newest is not None
    from biggan.foundation.tensor_files import read_tensors

    assert_same_tensors(read_tensors(newest.path / "state.safetensors"), plain)
    assert title


_plain: dict[str, torch.Tensor] = {}


def train_once(tmp_path: Path) -> dict[str, torch.Tensor]:
    """Return the weights after 20 steps on the images as a folder."""
    from biggan.foundation.tensor_files import read_tensors
    from biggan.training.setup import train
    from tests.data_kinds import as_folder

    if not _plain:
        path = as_folder(images(), tmp_path / "plain")
        config = tiny_config(
            tmp_path / "plain-run",
            data=DataConfig(path=path, flip=True, random_crop=True, workers=2),
            model=tiny(resolution=(16, 16), channels=3),
            duration=20 * 8,
        )
        run = train(config).run_dir
        _plain.update(read_tensors(run / "checkpoints" / "160" / "state.safetensors"))
    return _plain


@pytest.mark.parametrize("when", ["by day", pytest.param("at night", marks=pytest.mark.nightly)])
def test_spawned_workers_give_the_same(written: tuple[str, str], when: str) -> None:
    title, path = written
    chosen = {"by day": ("folder", "packed HDF5"), "at night": ("StyleGAN zip", "tar shards", "Hugging Face")}
    if title not in chosen[when]:
        return  # one of each way to hold a file; a spawned process takes seconds to start
    config = DataConfig(path=path)
    source = open_source(config, (SIDE, SIDE))
    order = make_order(source, config, 0)
    settings: dict[str, Any] = {"first": 0, "share": lambda _: Share(6)}
    alone = make_loader(source, order, workers=0, **settings)
    helped = make_loader(source, order, workers=1, start_method="spawn", **settings)
    for _ in range(3):
        one, other = next(alone), next(helped)
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert one.positions.tolist() == other.positions.tolist()
