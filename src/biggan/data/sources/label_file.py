"""A table of labels beside the images: CSV, TSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from biggan.data.bounds import foreign, is_file, is_folder
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, SourceKind
from biggan.data.sources.image_files import ImageFiles, Listing, is_image
from biggan.data.sources.stores import FolderStore
from biggan.foundation.errors import UserError
from biggan.foundation.records import read_bounded, read_plain

NAMES = ("labels.csv", "labels.tsv", "labels.json")
LONGEST_TABLE = 2**28
"""Bytes of a table of labels, some millions of rows."""
_SUFFIXES = (".csv", ".tsv", ".json")
_FILE_COLUMNS = ("file", "file_name", "filename", "image", "path", "name")
_LABEL_COLUMNS = ("label", "class_name", "class", "category", "tag", "target", "class_index")


class LabelFileKind(SourceKind):
    """A label file, or a folder with one of the usual name in it."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether the path is such a file or folder."""
        return _label_file(Path(path)) is not None

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Read the table."""
        file = _label_file(Path(path))
        assert file is not None
        pairs = (
            list(read_json_pairs(read_plain(file, limit=LONGEST_TABLE), file))
            if file.suffix.lower() == ".json"
            else _read_table(file)
        )
        return ImageFiles(FolderStore(file.parent), _listing(file, pairs, config), resolution, config)


def _label_file(path: Path) -> Path | None:
    if is_folder(path):
        return next((path / name for name in NAMES if is_file(path / name)), None)
    return path if is_file(path) and path.suffix.lower() in _SUFFIXES and path.name != "dataset.json" else None


def _read_table(file: Path) -> list[tuple[str, str]]:
    """Return (image, label) pairs of a CSV or TSV file, with or without a line of column names.

    Raises:
        UserError: not a table of at least two columns.
    """
    with foreign(f"--data {file}", "not a readable table"):
        text = io.StringIO(read_bounded(file, LONGEST_TABLE).decode("utf-8-sig"), newline="")
        rows = [row for row in csv.reader(text, delimiter="\t" if file.suffix.lower() == ".tsv" else ",") if row]
    if not rows:
        raise UserError(f"--data {file}: the table is empty")
    head = [cell.strip().lower() for cell in rows[0]]
    image_column = next((head.index(name) for name in _FILE_COLUMNS if name in head), None)
    label_column = next((head.index(name) for name in _LABEL_COLUMNS if name in head), None)
    if image_column is None or label_column is None:
        if not is_image(rows[0][0]):
            raise UserError(
                f"--data {file}: needs a column of files ({', '.join(_FILE_COLUMNS)}) and one of labels "
                f"({', '.join(_LABEL_COLUMNS)}); its columns are {', '.join(head)}"
            )
        image_column, label_column, first = 0, 1, 0  # no line of names
    else:
        first = 1
    needed = max(image_column, label_column)
    for number, row in enumerate(rows[first:], first + 1):
        if len(row) <= needed:
            raise UserError(f"--data {file}, line {number}: {len(row)} columns, at least {needed + 1} are needed")
    return [(row[image_column].strip(), row[label_column].strip()) for row in rows[first:]]


def read_json_pairs(value: Any, file: Path) -> Iterable[tuple[str, Any]]:
    """Yield (image, label) pairs of JSON.

    It is {file: label}, [[file, label], ...], [{"file":, "label":}, ...], or any of these under "labels".

    Raises:
        UserError: another form.
    """
    if isinstance(value, dict) and "labels" in value:
        value = value["labels"]
    if isinstance(value, dict):
        yield from value.items()
        return
    if not isinstance(value, list):
        raise UserError(f"--data {file}: expected {{file: label}} or a list of [file, label]")
    for number, entry in enumerate(value):
        if isinstance(entry, dict):
            image = next((entry[name] for name in _FILE_COLUMNS if name in entry), None)
            label = next((entry[name] for name in _LABEL_COLUMNS if name in entry), None)
        elif isinstance(entry, list) and len(entry) == 2:
            image, label = entry
        else:
            image, label = None, None
        if not isinstance(image, str) or label is None:
            raise UserError(f"--data {file}: entry {number} is not [file, label]: {str(entry)[:80]}")
        yield image, label


def _listing(file: Path, pairs: list[tuple[str, Any]], config: ReadingConfig) -> Listing:
    """Return the images that the table names, by class.

    Raises:
        UserError: files that are missing, listed twice with different labels, or labels that are no classes.
    """
    labels: dict[str, str] = {}
    for image, label in pairs:
        if isinstance(label, bool) or not isinstance(label, str | int) or label == "":
            raise UserError(
                f"--data {file}: the label of {image} is {label!r:.80}; a class is a word or a whole number"
            )
        name = image.replace("\\", "/").removeprefix("./")
        if labels.setdefault(name, str(label)) != str(label):
            raise UserError(f"--data {file}: {name} is listed as '{labels[name]}' and as '{label}'")
    root = file.parent
    missing = [name for name in labels if not is_file(root / name)]
    remarks = []
    if missing:
        listed = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        if not config.skip_corrupt:
            raise UserError(
                f"--data {file}: {len(missing)} of {len(labels)} files that it lists are not in {root}: "
                f"{listed}. Correct the table, or leave them out with --data.skip-corrupt."
            )
        remarks.append(f"left out {len(missing)} listed files that are not there: {listed}")
        for name in missing:
            del labels[name]
    class_names = sort_classes(set(labels.values()))
    place = {name: index for index, name in enumerate(class_names)}
    files = sorted(labels, key=lambda name: (place[labels[name]], name))
    return Listing(
        files=files, labels=[place[labels[name]] for name in files], class_names=class_names, remarks=tuple(remarks)
    )


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names in the one order that all sources share: by name, as folders are."""
    return tuple(sorted(set(names)))


MOST_EMPTY_CLASSES = 100_000


def refuse_sparse(where: str, classes: int, images: int) -> None:
    """Refuse labels of which nearly all would be of nobody: indices that are no classes, such as numbers of persons.

    Raises:
        UserError: it says what to do.
    """
    if classes > MOST_EMPTY_CLASSES and classes > 10 * images:
        raise UserError(
            f"--data {where}: the largest label is {classes - 1:,}, for {images:,} images; a class is a number from 0 "
            "on without large gaps: number the classes anew, or use names"
        )
