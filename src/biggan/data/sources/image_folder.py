"""Folders (or zip files) of images: a class is a sub-folder; without sub-folders the images have no classes."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from biggan.data.bounds import is_file, is_folder
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, SourceKind
from biggan.data.sources.image_files import ImageFiles, Listing, is_image
from biggan.data.sources.stores import FolderStore, Store, ZipStore
from biggan.foundation.errors import UserError


class ImageFolderKind(SourceKind):
    """A directory, or a zip file of one."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether the path is a directory or a zip file."""
        return is_folder(path) or is_zip(path)

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """List the files."""
        store: Store
        if is_folder(path):
            store, found = FolderStore(Path(path)), scan(Path(path))
        else:
            store = archive = ZipStore(Path(path))
            found = _Found(files=[name for name in archive.names() if not name.endswith("/")])
            found.sort_out()
            if len(found.folders) == 1 and any(name.count("/") > 1 for name in found.files):
                found.root = f"{found.folders[0]}/"  # the folder that was zipped
                found.folders = sorted({name.split("/")[1] for name in found.files if name.count("/") > 1})
        return ImageFiles(store, classify(path, found, fine=config.fine_labels), resolution, config)


def is_zip(path: str) -> bool:
    """Tell whether there is a zip file (npz files are zip files too, and are not meant)."""
    file = Path(path)
    return is_file(file) and file.suffix.lower() != ".npz" and zipfile.is_zipfile(path)


@dataclass
class _Found:
    """What lies below a root."""

    files: list[str] = field(default_factory=list)
    """Images, relative to the root, / between parts."""
    root: str = ""
    """What all of them begin with and is no class."""
    folders: list[str] = field(default_factory=list)
    """Sub-folders at the top, hidden ones left out."""
    hidden: list[str] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    """What is no image, by extension."""

    def sort_out(self) -> None:
        """Tell images from hidden and other files, in a plain list of all files."""
        every, self.files = self.files, []
        for name in every:
            parts = name.split("/")
            hidden = next((i for i, part in enumerate(parts) if part.startswith(".") or part == "__MACOSX"), None)
            if hidden is not None:
                self.hidden.append("/".join(parts[: hidden + 1]))
            elif is_image(name):
                self.files.append(name)
            else:
                self.other[Path(name).suffix.lower() or "no extension"] += 1
        self.hidden = sorted(set(self.hidden))
        self.folders = sorted({name.partition("/")[0] for name in self.files if "/" in name})


def scan(root: Path) -> _Found:
    """Return what lies below the directory ``root``; links are followed, but not in circles."""
    found = _Found()
    pending: list[tuple[str, str, frozenset[str]]] = [("", os.fspath(root), frozenset())]
    while pending:
        relative, directory, above = pending.pop()
        real = os.path.realpath(directory)
        if real in above:  # a link that leads back
            continue
        within = above | {real}
        try:
            scanned = os.scandir(directory)
        except OSError as error:
            raise UserError(f"--data {root}: {directory} cannot be read ({error.strerror})") from error
        with scanned as entries:
            for entry in entries:
                name = f"{relative}{entry.name}"
                if entry.name.startswith("."):
                    if not relative:
                        found.hidden.append(entry.name)
                elif entry.is_dir():
                    pending.append((f"{name}/", entry.path, within))
                    if not relative:
                        found.folders.append(entry.name)
                elif is_image(entry.name):
                    found.files.append(name)
                else:
                    found.other[os.path.splitext(entry.name)[1].lower() or "no extension"] += 1  # noqa: PTH122 - hot
    found.folders.sort()
    found.hidden.sort()
    return found


def classify(root: str, found: _Found, *, fine: bool) -> Listing:
    """Return the images by class.

    Hidden entries are ignored, as are sub-folders without images; both are named in the remarks.

    Args:
        root: path, for messages.
        found: what lies there.
        fine: an image's class is the whole path of its folder, not only the first part.

    Raises:
        UserError: the sub-folders are not classes (one that holds sub-folders itself; splits such as train and val).
    """
    by_class: dict[str, list[str]] = {}
    loose = []
    for name in found.files:
        inner = name.removeprefix(found.root)
        folder, _, _ = inner.rpartition("/") if fine else inner.partition("/")
        if "/" in inner:
            by_class.setdefault(folder, []).append(name)
        else:
            loose.append(name)
    remarks: list[str] = []
    with_images = {name.partition("/")[0] for name in by_class}
    empty = [name for name in found.folders if name not in with_images]
    if found.hidden:
        remarks.append(f"ignored hidden: {_some(found.hidden)}")
    if empty:
        remarks.append(f"ignored without images: {_some(empty)}")
    if found.other:
        listed = ", ".join(f"{n} {suffix}" for suffix, n in found.other.most_common(6))
        remarks.append(f"ignored, not image files: {listed}")
    if not by_class:
        return Listing(files=sorted(loose), labels=[0] * len(loose), class_names=(), remarks=tuple(remarks))
    classified = sum(map(len, by_class.values()))
    if len(loose) > classified:
        raise UserError(
            f"--data {root}: {len(loose)} images lie beside sub-folders ({_some(sorted(by_class))}) that hold only "
            f"{classified}. If the images have no classes, move the sub-folders away; if they have, put each image "
            "into the folder of its class."
        )
    if loose:
        remarks.append(f"ignored {len(loose)} images beside the class folders, for example {min(loose)}")
    names = sorted(by_class)
    if not fine:
        _refuse_wrong_level(root, found.root, names, by_class)
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        files += sorted(by_class[name])
        labels += [label] * len(by_class[name])
    return Listing(files=files, labels=labels, class_names=tuple(names), remarks=tuple(remarks))


def _refuse_wrong_level(root: str, prefix: str, classes: list[str], contents: dict[str, list[str]]) -> None:
    """Refuse folders whose sub-folders are not classes: an extra level, or splits."""
    inner: dict[str, set[str]] = {}
    for name in classes:
        parts = [file.removeprefix(prefix).split("/", 2) for file in contents[name]]
        if any(len(p) == 2 for p in parts):  # an image directly inside: it is a class
            return
        inner[name] = {p[1] for p in parts}
    if len(classes) == 1:
        name, below = classes[0], inner[classes[0]]
        raise UserError(
            f"--data {root}: found 1 class ('{name}') that holds {len(below)} sub-folders ({_some(sorted(below))}). "
            f"If those are the classes, use --data {root}/{name} (or --data.fine-labels). If '{name}' really is one "
            f"class, move its images out of the sub-folders into {root}/{name}."
        )
    shared = set.intersection(*inner.values())
    if shared and len(shared) * 2 >= max(len(names) for names in inner.values()):
        raise UserError(
            f"--data {root}: {_some(classes)} all hold the same sub-folders ({_some(sorted(shared))}); they look like "
            f"splits, not classes. Use one of them, for example --data {root}/{classes[0]}, or rename the sub-folders."
        )


def _some(names: Sequence[str], count: int = 5) -> str:
    shown = ", ".join(names[:count])
    return f"{shown} and {len(names) - count} more" if len(names) > count else shown
