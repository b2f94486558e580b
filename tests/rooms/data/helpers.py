"""What the tests of data share: opening, writing and packing a few images."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from biggan.cli.main import main
from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource
from biggan.data.opening import open_source
from biggan.data.preparation.decoding import load_image
from biggan.data.preparation.fitting import Preparation
from tests.data_kinds import SIDE, Images, png, some_images

MakeFolder = Callable[..., Path]


def opened(path: object, resolution: tuple[int, int] = (16, 16), **values: Any) -> ImageSource:
    return open_source(DataConfig(path=str(path), **values), resolution)


def opened_as_stored(path: object, resolution: tuple[int, int] = (SIDE, SIDE), **values: Any) -> ImageSource:
    return open_source(DataConfig(path=str(path), **values), resolution)


@functools.cache
def images() -> Images:
    return some_images()


def put(root: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(images().pixels[i]))


def write_hdf5(path: Path, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], **more: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("imgs", data=images, chunks=(min(len(images), 5), *images.shape[1:]))
        file.create_dataset("labels", data=labels)
        for name, value in more.items():
            file[name] = value
    return path


def to(height: int, width: int, channels: int, **values: Any) -> Preparation:
    return Preparation(resolution=(height, width), channels=channels, **values)


def loaded(path: Path, background: str = "white") -> Image.Image:
    with path.open("rb") as file:
        return load_image(file, str(path), background)


def through(tmp_path: Path, image: Image.Image, name: str = "x.png", **save: Any) -> np.ndarray[Any, Any]:
    path = tmp_path / name
    image.save(path, **save)
    return np.asarray(loaded(path))


def prepare(source: Path | str, target: Path, *options: str, resolution: str = "16") -> int:
    return main(["data", "prepare", str(source), str(target), "--resolution", resolution, *options])


def whole(source: ImageSource) -> np.ndarray[Any, Any]:
    return source.read_many(np.arange(len(source)))


def inspected(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> Any:
    capsys.readouterr()
    assert main(["data", "inspect", str(path), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)
