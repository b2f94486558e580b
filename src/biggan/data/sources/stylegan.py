"""The data sets of the StyleGAN tools: images in a folder or zip file, and ``dataset.json`` with a number for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biggan.data.bounds import is_file, is_folder
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, SourceKind
from biggan.data.sources.image_files import ImageFiles, Listing, is_image
from biggan.data.sources.image_folder import is_zip, scan
from biggan.data.sources.label_file import LONGEST_TABLE, read_json_pairs, refuse_sparse
from biggan.data.sources.stores import FolderStore, Store, ZipStore
from biggan.foundation.errors import UserError
from biggan.foundation.records import parse_plain, read_plain

INDEX = "dataset.json"


class StyleganKind(SourceKind):
    """A folder or zip file with ``dataset.json`` at its root."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether ``dataset.json`` is there."""
        file = Path(path)
        if is_file(file) and file.name == INDEX:
            return True
        if is_folder(file):
            return is_file(file / INDEX)
        return is_zip(path) and INDEX in ZipStore(file).archive().namelist()

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Read the labels."""
        root = Path(path).parent if Path(path).name == INDEX else Path(path)
        where = f"--data {path}, {INDEX}"
        store: Store
        if root.is_dir():
            store, names = FolderStore(root), scan(root).files
            content = read_plain(root / INDEX, limit=LONGEST_TABLE)
        else:
            store = archive = ZipStore(root)
            names = archive.names()
            content = parse_plain(archive.read(INDEX, LONGEST_TABLE), where, limit=LONGEST_TABLE)
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
    if not isinstance(names, list):
        raise UserError(f"--data {path}: class_names of {INDEX} must be a list, not {str(names)[:60]}")
    if len(names) < count or len(set(map(str, names))) < len(names):
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
