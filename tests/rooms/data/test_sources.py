"""Every kind of source, over one set of images: the contract, the same batches and weights, each kind's troubles."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.data.configuration import DataConfig
from biggan.data.contract import SOURCES, ImageSource
from biggan.data.inspection import card
from biggan.data.opening import open_source
from biggan.data.order.epochs import make_order
from biggan.data.order.loader import make_loader, read_ahead
from biggan.data.preparation.checking import check_all
from biggan.foundation.errors import UserError
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.data_kinds import NAMELESS, NAMES, SIDE, WRITERS, Images, add, as_cifar_binary, as_shards, png, some_images


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path / "cache"))


@functools.cache
def images() -> Images:
    return some_images()


def opened(path: object, resolution: tuple[int, int] = (SIDE, SIDE), **values: Any) -> ImageSource:
    return open_source(DataConfig(path=str(path), **values), resolution)


@pytest.fixture(params=list(WRITERS))
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Return the title of a kind and the path of the images in it."""
    (tmp_path / "data").mkdir()
    return request.param, WRITERS[request.param][1](images(), tmp_path / "data")


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


# -- label files -------------------------------------------------------------------------------------------------------


def put(root: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(images().pixels[i]))


def test_tables_of_other_forms(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "sub/b.png", "c.png")
    (tmp_path / "x.csv").write_text("a.png,10\nsub/b.png,9\nc.png,10\n")  # no line of names
    source = opened(tmp_path / "x.csv")
    assert source.class_names == ("10", "9"), "in order of name, as folders are"
    assert [source.name(i) for i in range(3)] == ["a.png", "c.png", "sub/b.png"]
    (tmp_path / "x.tsv").write_text("filename\tother\tclass\na.png\t?\tred one\nc.png\t?\tblue\n")
    assert opened(tmp_path / "x.tsv").class_names == ("blue", "red one")
    (tmp_path / "x.json").write_text('[{"file_name": "a.png", "label": 3}, {"file_name": "c.png", "label": 1}]')
    assert opened(tmp_path / "x.json").class_names == ("1", "3")


def test_what_sample_writes_is_read_back(tmp_path: Path) -> None:
    from biggan.models.contract import build
    from biggan.models.snapshot import SnapshotInfo, write_snapshot
    from tests.conftest import tiny

    model = tiny(classes=2, channels=3)
    info = SnapshotInfo(architecture=model, class_names=("yes", "no"), weights="ema", images_seen=0, iterations=0)
    write_snapshot(tmp_path / "g.safetensors", build(model).generator, info)
    from biggan.cli.main import main

    command = ["sample", str(tmp_path / "g.safetensors"), "--out", str(tmp_path / "out"), "--count", "6"]
    assert main([*command, "--device", "cpu"]) == 0
    source = opened(tmp_path / "out", (16, 16))
    assert source.class_names == ("no", "yes")
    assert source.class_counts().tolist() == [3, 3]
    assert main([*command, "--device", "cpu", "--format", "npz"]) == 0
    packed = opened(tmp_path / "out" / "samples.npz", (16, 16))
    assert packed.class_names == ("yes", "no")
    assert np.array_equal(packed.read(0), source.read(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.png,x\nmissing.png,y\n", r"1 of 2 files that it lists are not in .*missing\.png"),
        ("file,label\na.png\n", "line 2: 1 columns"),
        ("some,thing\n1,2\n", "needs a column of files"),
        ("", "the table is empty"),
        ("file,label\na.png,x\na.png,y\n", "a.png is listed as 'x' and as 'y'"),
        ("file,label\na.png,\n", "the label of a.png is ''"),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        opened(tmp_path)


def test_wrong_json(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    for text, message in (
        ("{", "not valid JSON"),
        ("3", "expected"),
        ('[["a.png"]]', "entry 0"),
        ('{"a.png": 1.5}', "1.5"),
    ):
        (tmp_path / "labels.json").write_text(text)
        with pytest.raises(UserError, match=message):
            opened(tmp_path)


# -- StyleGAN ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": [["a.png", 0], ["gone.png", 1]]}, "1 of 2 files that dataset.json lists are not there"),
        ({"labels": [["a.png", [0.2, 0.8]]]}, "a class is a whole number"),
        ({"labels": [["a.png", -1]]}, "classes count from 0"),
        ({"labels": [["a.png", 2]], "class_names": ["x"]}, "names 1 classes, the labels need 3"),
        ([], "holds no 'labels'"),
    ],
)
def test_wrong_dataset_json(tmp_path: Path, content: Any, message: str) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        opened(tmp_path)


def test_dataset_json_without_labels_and_one_hot(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert opened(tmp_path).class_names == ()
    (tmp_path / "dataset.json").write_text('{"labels": [["a.png", [0, 0, 1]], ["b.png", [1, 0, 0]]]}')
    source = opened(tmp_path)
    assert source.labels.tolist() == [0, 2]
    assert source.class_counts().tolist() == [1, 0, 1]
    assert "ignored 1 images that dataset.json does not list" in source.remarks


def test_export_and_back(tmp_path: Path) -> None:
    from biggan.cli.main import main
    from tests.data_kinds import as_folder

    folder = as_folder(images(), tmp_path / "f")
    assert main(["data", "export", folder, str(tmp_path / "out.zip"), "--resolution", "32"]) == 0
    back = opened(tmp_path / "out.zip")
    assert back.class_names == NAMES
    assert np.array_equal(back.read_many(np.arange(len(back))), images().pixels)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:  # what the StyleGAN tools look for
        labels = json.loads(archive.read("dataset.json"))["labels"]
        assert labels[5] == ["00000/img00000005.png", 1]
    assert main(["data", "export", folder, str(tmp_path / "out.zip"), "--resolution", "32"]) == 2


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_arrays_of_other_forms(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.save(tmp_path / "gray.npy", draw.integers(0, 256, (5, 20, 16), dtype=np.uint8))
    gray = opened(tmp_path / "gray.npy", (20, 16))
    assert (gray.channels, gray.class_names, len(gray)) == (1, (), 5)
    assert "no labels" in gray.remarks[0]
    deep = np.array([0, 257, 385, 386, 65535], dtype=np.uint16).reshape(5, 1, 1, 1) * np.ones((1, 6, 16, 16), np.uint16)
    np.save(tmp_path / "deep.npy", deep)
    many = opened(tmp_path / "deep.npy", (16, 16))
    assert many.channels == 6
    assert many.read_many(np.arange(5))[:, 0, 0, 0].tolist() == [0, 1, 1, 2, 255]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 16, 16), np.float32), "must be uint8"),
        (np.zeros((3, 16), np.uint8), r"must be \[N, C, H, W\]"),
        (np.zeros((3, 16, 16, 16), np.uint8), "which axis"),
    ],
)
def test_wrong_arrays(tmp_path: Path, array: np.ndarray[Any, Any], message: str) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError, match=message):
        opened(tmp_path / "x.npy")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="not a readable NumPy file"):
        opened(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", z=np.zeros(3))
    with pytest.raises(UserError, match="no images in it"):
        opened(tmp_path / "x.npz")


def test_uncompressed_archives_are_mapped(tmp_path: Path) -> None:
    from tests.data_kinds import as_npz

    source: Any = opened(as_npz(images(), tmp_path))
    assert isinstance(source.images, np.memmap)
    assert source.in_memory


# -- CIFAR -------------------------------------------------------------------------------------------------------------


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("echo pwned > pwned",)


def test_a_pickle_that_asks_for_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        for number in range(1, 6):
            add(archive, f"x/data_batch_{number}", pickle.dumps({b"data": _Evil()}, 2))
    with pytest.raises(UserError, match=r"asks for \w+\.system"):
        opened(tmp_path / "cifar-10-python.tar.gz")
    assert not (tmp_path / "pwned").exists()


def test_cifar_split_and_damage(tmp_path: Path) -> None:
    path = as_cifar_binary(images(), tmp_path)
    test = opened(f"{path}:test")
    assert test.labels.tolist() == sorted(images().labels[[3, 1]].tolist())
    assert test.key() != opened(path).key()
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="not a whole CIFAR archive"):
        opened(path)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    requests: list[str]

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Serve a folder; return its address, the folder, and the requests that came."""
    folder = tmp_path / "served"
    folder.mkdir()
    requests: list[str] = []
    handler = functools.partial(type("Handler", (_Quiet,), {"requests": requests}), directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", folder, requests
        running.shutdown()


def test_cifar_is_downloaded_and_verified(server: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    from biggan.data.sources import cifar

    address, folder, requests = server
    monkeypatch.setattr(cifar, "SITE", address)
    with pytest.raises(UserError, match=r"could not be downloaded.*give its path instead"):
        opened("cifar10")
    path = Path(as_cifar_binary(images(), folder))
    with pytest.raises(UserError, match=r"its md5 is \w+, not c32a1d4ab5d03f1284b67883e8d87530; nothing was kept"):
        opened("cifar10")
    import hashlib

    edition = dataclasses.replace(cifar._EDITIONS["cifar10"], md5=hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(cifar._EDITIONS, "cifar10", edition)
    assert len(opened("cifar10")) == 40
    count = len(requests)
    assert len(opened("cifar10:test")) == 2
    assert len(requests) == count, "the second time it lies in the cache"


def test_any_file_by_url(server: tuple[str, Path, list[str]]) -> None:
    from tests.data_kinds import as_stylegan_zip

    address, folder, _ = server
    as_stylegan_zip(images(), folder)
    assert opened(f"{address}/stylegan.zip").class_names == NAMES
    with pytest.raises(UserError, match="could not be downloaded"):
        opened(f"{address}/other.zip")


# -- shards ------------------------------------------------------------------------------------------------------------


def test_shards_by_url(server: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    """Shards are fetched once each, kept within the disk allowed, and give what local ones give."""
    address, folder, requests = server
    as_shards(images(), folder, count=4)
    local = opened(folder / "part-{000..003}.tar")
    remote: Any = opened(f"{address}/part-{{000..003}}.tar")
    assert remote.class_names == NAMES
    assert sorted(requests) == ["/class_names.txt", *(f"/part-{number:03}.tar" for number in range(4))]
    for index in (0, 39, 17):
        assert np.array_equal(remote.read(index), local.read(index))
    again = opened(f"{address}/part-{{000..003}}.tar")
    assert np.array_equal(again.labels, remote.labels)
    assert len(requests) == 5, "tables of contents and shards lie in the cache"
    remote.store.cache_bytes = 1
    remote.read(0)
    remote.read(39)
    kept = list((tmp_path / "cache" / "shards").rglob("*.tar"))
    assert len(kept) == 1, "the longest unused are removed"


def test_shard_troubles(tmp_path: Path) -> None:
    path = as_shards(images(), tmp_path)
    with pytest.raises(UserError, match="1 shards are missing"):
        opened(path.replace("002", "003"))
    with pytest.raises(UserError, match="runs backwards"):
        opened(str(tmp_path / "part-{5..2}.tar"))
    config = DataConfig(path=path, label_sampling="uniform")
    source = open_source(config, (16, 16))
    with pytest.raises(UserError, match="not by class"):
        make_order(source, config, 0)
    with tarfile.open(tmp_path / "part-001.tar", "a") as archive:
        add(archive, "999999.png", png(images().pixels[0]))
    with pytest.raises(UserError, match=r"1 of 41 images have no class .*999999\.png"):
        opened(path)
    assert len(opened(path, labels="unconditional")) == 41
    data = (tmp_path / "part-000.tar").read_bytes()
    (tmp_path / "part-000.tar").write_bytes(data[:100])
    with pytest.raises(UserError, match="not a whole tar file"):
        opened(path)
    assert len(opened(str(tmp_path / "part-002.tar"))) == 13


def test_hub_troubles(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(tmp_path / "text")
    with pytest.raises(UserError, match="no column of images"):
        opened(tmp_path / "text")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = {"image": [{"bytes": png(images().pixels[i]), "path": None} for i in range(3)], "label": [1, -1, 0]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "some")
    source = opened(tmp_path / "some")
    assert source.labels.tolist() == [0, 1]
    assert "left out 1 images without a label" in source.remarks
    assert np.array_equal(source.read(0), images().pixels[2])


# -- folders -----------------------------------------------------------------------------------------------------------


def test_fine_labels(tmp_path: Path) -> None:
    put(tmp_path, "cat/tabby/a.png", "cat/siamese/b.png", "dog/pug/c.png", "dog/d.png")
    assert opened(tmp_path).class_names == ("cat", "dog")
    assert opened(tmp_path, fine_labels=True).class_names == ("cat/siamese", "cat/tabby", "dog", "dog/pug")


def test_a_changed_folder_is_noticed(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png", "cat/b.png", "dog/c.png")
    before = opened(tmp_path).key()
    assert opened(tmp_path).key() == before
    (tmp_path / "cat" / "a.png").write_bytes(png(images().pixels[9]))
    changed = opened(tmp_path).key()
    assert changed != before
    (tmp_path / "dog" / "c.png").rename(tmp_path / "dog" / "d.png")
    assert opened(tmp_path).key() not in (before, changed)


def test_a_changed_folder_is_told_on_resume(tmp_path: Path) -> None:
    from biggan.training.setup import train

    root = tmp_path / "images"
    put(root, "cat/a.png", "cat/b.png", "dog/c.png")
    config = tiny_config(tmp_path / "run", data=DataConfig(path=str(root)), model=tiny(channels=3), duration=16)
    train(config)
    assert "the data changed" not in (tmp_path / "run" / "log.txt").read_text()
    (root / "cat" / "a.png").write_bytes(png(images().pixels[9]))
    train(dataclasses.replace(config, duration=32))
    assert "the data changed: as many images as before" in (tmp_path / "run" / "log.txt").read_text()


def test_a_zip_that_is_none_and_members_that_are_damaged(tmp_path: Path) -> None:
    from tests.data_kinds import as_zip

    path = Path(as_zip(images(), tmp_path))
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)  # inside the first member
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"1 of 40 images cannot be used:\n  ape/00000.png"):
        opened(path)
    assert len(opened(path, skip_corrupt=True)) == 39
    (tmp_path / "text.zip").write_bytes(b"no zip")
    with pytest.raises(UserError, match="not a kind of data"):
        opened(tmp_path / "text.zip")


# -- ways of reading ---------------------------------------------------------------------------------------------------


def test_spawned_workers_give_the_same(written: tuple[str, str]) -> None:
    title, path = written
    if title not in ("folder", "StyleGAN zip", "packed HDF5", "tar shards", "Hugging Face"):
        return  # one of each way to hold a file; a spawned process takes seconds to start
    config = DataConfig(path=path)
    source = open_source(config, (SIDE, SIDE))
    order = make_order(source, config, 0)
    settings: dict[str, Any] = {"first": 0, "batch": 6, "offset": 0, "share": 6}
    alone = make_loader(source, order, workers=0, **settings)
    helped = make_loader(source, order, workers=1, start_method="spawn", **settings)
    for _ in range(3):
        one, other = next(alone), next(helped)
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert one.first == other.first


def test_reading_ahead_changes_nothing_and_passes_errors_on() -> None:
    assert list(zip(range(5), read_ahead(iter(range(100)), lambda n: n), strict=False)) == [(i, i) for i in range(5)]  # type: ignore[arg-type,return-value]

    def broken() -> Iterator[Any]:
        yield 1
        raise UserError("told")

    ahead = read_ahead(broken(), lambda n: n)
    assert next(ahead) == 1  # type: ignore[comparison-overlap]
    with pytest.raises(UserError, match="told"):
        next(ahead)


def test_workers_need_no_shared_memory(tmp_path: Path) -> None:
    """Batches come through pipes: with next to no /dev/shm, workers deliver all the same."""
    from tests.data_kinds import as_folder

    path = as_folder(images(), tmp_path / "data")
    program = (
        "from biggan.data.configuration import DataConfig\n"
        "from biggan.data.opening import open_source\n"
        "from biggan.data.order.epochs import make_order\n"
        "from biggan.data.order.loader import make_loader\n"
        f"config = DataConfig(path={path!r})\n"
        "source = open_source(config, (128, 128))\n"
        "order = make_order(source, config, 0)\n"
        "loader = make_loader(source, order, first=0, batch=64, offset=0, share=64, workers=2)\n"
        "print(sum(next(loader).images.shape[0] for _ in range(6)))\n"
    )
    mount = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "sh", "-c", mount, sys.executable, program]
    try:
        tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
    except FileNotFoundError:
        tried = 1
    if tried:
        pytest.skip("this system does not let a test have its own /dev/shm")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "384"


def test_everything_wrong_in_one_folder_is_named(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png")
    (tmp_path / "cat" / "b.png").write_bytes(png(images().pixels[0])[:-200])
    buffer = io.BytesIO()
    Image.new("CMYK", (9, 9)).save(buffer, "JPEG")
    (tmp_path / "cat" / "c.jpg").write_bytes(buffer.getvalue())
    source = opened(tmp_path)
    with pytest.raises(UserError, match=r"b\.png: .*truncated"):
        check_all(source, DataConfig(path=str(tmp_path)))


def test_a_signal_to_the_whole_group_saves(tmp_path: Path) -> None:
    """Terminals and job schedulers signal every process, workers too: the run is saved all the same."""
    from tests.data_kinds import as_folder

    path = as_folder(images(), tmp_path / "data")
    for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
        run = tmp_path / name
        words = (
            f"train digits --data {path} --run-dir {run} --duration 1G --batch 8 --device cpu --data.workers 2".split()
        )
        words += "--log.samples-every 1G --log.no-tensorboard --log.every 80 --model.generator-width 4".split()
        process = subprocess.Popen(
            [sys.executable, "-m", "biggan", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not (run / "stats.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, number)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + number, out
        assert (run / "checkpoints" / "LAST").exists()


def test_workers_end_with_a_trainer_that_was_killed(tmp_path: Path) -> None:
    from tests.data_kinds import as_folder

    path = as_folder(images(), tmp_path / "data")
    program = (
        "from biggan.data.configuration import DataConfig\n"
        "from biggan.data.opening import open_source\n"
        "from biggan.data.order.epochs import make_order\n"
        "from biggan.data.order.loader import make_loader\n"
        f"config = DataConfig(path={path!r})\n"
        "source = open_source(config, (128, 128))\n"
        "order = make_order(source, config, 0)\n"
        "loader = make_loader(source, order, first=0, batch=64, offset=0, share=64, workers=2)\n"
        "next(loader); print('reading', flush=True); import time; time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        time.sleep(1)  # the pipes fill up
        process.kill()
        process.wait()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.2)
    raise AssertionError("workers are still there")


def test_reviewed_troubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What once went wrong silently."""
    put(tmp_path / "loose", *[f"{i}.png" for i in range(5)], "thumbs/x.png")
    with pytest.raises(UserError, match="5 images lie beside sub-folders"):
        opened(tmp_path / "loose")
    put(tmp_path / "linked", "cat/a.png")
    for name in ("alpha", "beta"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "linked" / "cat", target_is_directory=True)
    assert opened(tmp_path / "linked").class_names == ("alpha", "beta", "cat")
    np.savez(tmp_path / "sparse.npz", x=images().pixels[:2], y=np.array([0, 30_000_000]))
    with pytest.raises(UserError, match="number the classes anew"):
        opened(tmp_path / "sparse.npz")
    np.save(tmp_path / "x.npy", images().pixels[:4])
    np.save(tmp_path / "labels.npy", np.array([0, 0, 1, 1]))
    before = opened(tmp_path / "x.npy").key()
    np.save(tmp_path / "labels.npy", np.array([0, 1, 0, 1]))
    assert opened(tmp_path / "x.npy").key() != before, "labels beside are part of the data"
    Image.fromarray(np.full((9, 9), 200, np.int32)).save(tmp_path / "wide.tif")
    put(tmp_path / "other", "c/a.png")
    shutil.copy(tmp_path / "wide.tif", tmp_path / "other" / "c" / "wide.tif")
    with pytest.raises(UserError, match="no defined white"):
        check_all(opened(tmp_path / "other"), DataConfig(path="x"))
    put(tmp_path / "strange", "a\x07b/a.png")
    with pytest.raises(UserError, match="no readable text"):
        opened(tmp_path / "strange")
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "digits", "a/a.png")
    assert "--data ./digits" in " ".join(opened("digits").remarks)
    assert opened("./digits").class_names == ("a",)


def test_a_zip_of_a_folder_in_a_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for i, name in enumerate(("flowers/rose/a.png", "flowers/rose/b.png", "flowers/lily/c.png")):
            archive.writestr(name, png(images().pixels[i]))
    assert opened(tmp_path / "z.zip").class_names == ("lily", "rose")


def test_masks_beside_images_in_shards(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for i in range(3):
            add(archive, f"{i}.png", png(images().pixels[i]))
            add(archive, f"{i}.seg.png", png(images().pixels[9]))
            add(archive, f"{i}.cls", b"1")
            add(archive, f"IMG.{i}.png", png(images().pixels[i + 3]))
            add(archive, f"IMG.{i}.cls", b"0")
    source = opened(tmp_path / "x.tar")
    assert source.class_counts().tolist() == [3, 3]
    assert not any("seg" in source.name(i) for i in range(6))


def test_a_class_of_nothing_but_truncated_images(tmp_path: Path) -> None:
    put(tmp_path, "bad/0.png", "bad/1.png", "good/2.png", "good/3.png")
    for name in ("bad/0.png", "bad/1.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:300])
    config = DataConfig(path=str(tmp_path))
    source = open_source(config, (SIDE, SIDE))
    loader = make_loader(source, make_order(source, config, 0), first=0, batch=4, offset=0, share=4, workers=0)
    batch = next(loader)
    assert set(batch.labels.tolist()) == {1}
    assert len(batch.problems) == 2


def test_data_that_vanish_save_the_run_first(tmp_path: Path) -> None:
    from biggan.training.setup import train

    root = tmp_path / "images"
    put(root, "cat/a.png", "cat/b.png", "dog/c.png")
    config = tiny_config(
        tmp_path / "run", data=DataConfig(path=str(root), workers=0), model=tiny(channels=3), duration=160
    )

    from biggan.data.sources.image_files import ImageFiles

    read, calls = ImageFiles.read, []

    def vanishing(self: ImageFiles, index: int) -> Any:
        calls.append(1)
        if len(calls) == 60:
            shutil.move(str(root), str(tmp_path / "elsewhere"))
        return read(self, index)

    ImageFiles.read = vanishing  # type: ignore[method-assign]
    try:
        with pytest.raises(UserError, match=r"Saved at \d+ images; repair the data"):
            train(config, "digits")
    finally:
        ImageFiles.read = read  # type: ignore[method-assign]
    saved = int((tmp_path / "run" / "checkpoints" / "LAST").read_text())
    assert saved >= 40
    shutil.move(str(tmp_path / "elsewhere"), str(root))
    assert train(config, "digits").images_seen == 160
    shutil.move(str(root), str(tmp_path / "elsewhere"))
    assert train(config, "digits").already_finished, "a finished run says so, wherever its data are"
