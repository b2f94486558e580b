"""The data sets of the StyleGAN tools: images in a folder or zip file, and ``dataset.json`` with a number for each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, SourceKind
from biggan.data.sources.image_files import ImageFiles, Listing, is_image
from biggan.data.sources.image_folder import is_zip, scan
from biggan.data.sources.label_file import read_json_pairs, refuse_sparse
from biggan.data.sources.stores import FolderStore, Store, ZipStore
from biggan.foundation.errors import CorruptFileError, UserError

INDEX = "dataset.json"


class StyleganKind(SourceKind):
    """A folder or zip file with ``dataset.json`` at its root."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether ``dataset.json`` is there."""
        file = Path(path)
        if file.is_file() and file.name == INDEX:
            return True
        if file.is_dir():
            return (file / INDEX).is_file()
        return is_zip(path) and INDEX in ZipStore(file).archive().namelist()

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Read the labels."""
        root = Path(path).parent if Path(path).name == INDEX else Path(path)
        store: Store = FolderStore(root) if root.is_dir() else ZipStore(root)
        try:
            with store.open(INDEX) as file:
                content = json.loads(file.read())
        except ValueError as error:
            raise CorruptFileError(f"--data {path}: {INDEX} is not valid JSON ({error})") from error
        names = store.archive().namelist() if isinstance(store, ZipStore) else scan(root).files
        images = {name for name in names if is_image(name)}
        return ImageFiles(store, _listing(path, content, images), resolution, config)


def _listing(path: str, content: Any, images: set[str]) -> Listing:
    """Return the images with the labels of ``dataset.json``: class k is the k-th, whether it has images or not.

    Raises:
        UserError: labels that are no classes, or files that are missing.
    """
    if not isinstance(content, dict):
        raise UserError(f"--data {path}: {INDEX} holds no 'labels'")
    if not content.get("labels"):
        remark = f"{INDEX} has no labels: unconditional"
        return Listing(files=sorted(images), labels=[0] * len(images), class_names=(), remarks=(remark,))
    labels: dict[str, int] = {}
    for image, label in read_json_pairs(content, Path(path) / INDEX):
        labels[image] = _class_index(path, image, label)
    missing = [name for name in labels if name not in images]
    if missing:
        raise UserError(
            f"--data {path}: {len(missing)} of {len(labels)} files that {INDEX} lists are not there, for example "
            f"{missing[0]}; make the archive again"
        )
    remarks = []
    if len(images) > len(labels):
        remarks.append(f"ignored {len(images) - len(labels)} images that {INDEX} does not list")
    count = max(labels.values()) + 1
    refuse_sparse(path, count, len(labels))
    names = content.get("class_names") or [str(index) for index in range(count)]
    if not isinstance(names, list) or len(names) < count or len(set(map(str, names))) < len(names):
        raise UserError(f"--data {path}: {INDEX} names {len(names)} classes, the labels need {count} different ones")
    files = sorted(labels, key=lambda name: (labels[name], name))
    return Listing(
        files=files,
        labels=[labels[name] for name in files],
        class_names=tuple(map(str, names)),
        remarks=tuple(remarks),
    )


def _class_index(path: str, image: str, label: Any) -> int:
    plain = isinstance(label, list) and all(isinstance(n, int | float) for n in label)
    if plain and sorted(label)[:-1] == [0] * (len(label) - 1) and sorted(label)[-1:] == [1]:
        return label.index(1)  # one-hot
    if isinstance(label, bool) or not isinstance(label, int):
        raise UserError(f"--data {path}: the label of {image} is {str(label)[:60]}; a class is a whole number")
    if label < 0:
        raise UserError(f"--data {path}: the label of {image} is {label}; classes count from 0")
    return label
