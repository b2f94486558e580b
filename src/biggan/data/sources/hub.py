"""Data sets of Hugging Face: ``hf:NAME``, ``hf:NAME:SPLIT``, or a saved folder. Needs the extra ``hub``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from biggan.data.bounds import foreign, is_file, is_folder, open_regular
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, SourceKind, UnreadableImageError
from biggan.data.sources.image_files import ImageFiles, Listing
from biggan.data.sources.label_file import sort_classes
from biggan.data.sources.stores import Store
from biggan.foundation.errors import UserError

PREFIX = "hf:"


class HubKind(SourceKind):
    """A name of the hub, or a saved folder."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell by the prefix, or by the files that a saved data set consists of."""
        folder = Path(path)
        saved = ("dataset_info.json", "dataset_dict.json")
        return path.startswith(PREFIX) or (is_folder(folder) and any(is_file(folder / name) for name in saved))

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Load (or download) the split."""
        with foreign(f"--data {path}", "could not be loaded"):  # the library raises many kinds, some of them its own
            table, title = _load(path)
            store, listing = HubStore(table, _image_column(table, path), title), _listing(table, path)
        return ImageFiles(store, listing, resolution, config)


class HubStore(Store):
    """Encoded images of a table; a name is a row's number."""

    def __init__(self, table: Any, column: str, title: str) -> None:
        import datasets

        self.table, self._title = (
            table.select_columns([column]).cast_column(column, datasets.Image(decode=False)),
            title,
        )
        self.column, self.fingerprint = column, str(table._fingerprint)

    def open(self, name: str) -> IO[bytes]:
        """Return the image of a row."""
        with foreign(self.where(name), "cannot be read", UnreadableImageError):
            value = self.table[int(name)][self.column]
            if value is None:
                raise UnreadableImageError(f"{self._title}: row {name} has no image")
            return io.BytesIO(value["bytes"]) if value.get("bytes") else open_regular(value["path"])

    def key(self, names: Sequence[str]) -> str:  # noqa: ARG002 - the table has a key of its own
        """Return the table's fingerprint."""
        return self.fingerprint

    def title(self) -> str:
        """Return name and split."""
        return self._title

    def where(self, name: str) -> str:
        """Return table and row."""
        return f"{self._title}, row {name}"


def _load(path: str) -> tuple[Any, str]:
    try:
        import datasets
    except ImportError as error:
        raise UserError(f'--data {path}: needs the datasets library; pip install "biggan-torch[hub]"') from error
    if not path.startswith(PREFIX):
        found, split = datasets.load_from_disk(path), None
    else:
        name, _, split = path.removeprefix(PREFIX).partition(":")
        found = datasets.load_dataset(name, split=split or None)
    if isinstance(found, dict):
        split = "train" if "train" in found else next(iter(found))
        found = found[split]
    # Whether every offset lies inside its buffer: Arrow believes a damaged file, and reads beyond.
    for part in (found.data, found._indices):
        if part is not None:
            part.validate(full=True)
    return found, f"Hugging Face data set {path}" + (f", {split}" if split else "")


def _image_column(table: Any, path: str) -> str:
    import datasets

    columns = [name for name, kind in table.features.items() if isinstance(kind, datasets.Image)]
    if not columns:
        raise UserError(f"--data {path}: no column of images; its columns are {', '.join(table.features)}")
    return str(columns[0])


def _listing(table: Any, path: str) -> Listing:
    """Return the rows by class: of the first column of class labels, else of one called label."""
    import datasets

    columns = [name for name, kind in table.features.items() if isinstance(kind, datasets.ClassLabel)]
    column = columns[0] if columns else "label" if "label" in table.features else None
    if column is None:
        remark = "no column of class labels: unconditional"
        rows = [str(row) for row in range(len(table))]
        return Listing(files=rows, labels=[0] * len(rows), class_names=(), remarks=(remark,))
    values = table[column][:]
    if columns:
        names = tuple(map(str, table.features[column].names))
        labels = [int(value) if value is not None else -1 for value in values]
    else:
        names = sort_classes({str(value) for value in values})
        place = {name: index for index, name in enumerate(names)}
        labels = [place[str(value)] for value in values]
    without = sum(not 0 <= label < len(names) for label in labels)
    remarks = (f"left out {without} images without a label",) if without else ()
    if without == len(labels):
        raise UserError(f"--data {path}: no image has a label; use a split that has, or --data.labels unconditional")
    labelled = [row for row in range(len(labels)) if 0 <= labels[row] < len(names)]
    by_class = sorted(labelled, key=lambda row: (labels[row], row))
    return Listing(
        files=[str(row) for row in by_class],
        labels=[labels[row] for row in by_class],
        class_names=names,
        remarks=remarks,
    )
