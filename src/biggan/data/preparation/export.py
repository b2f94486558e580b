"""Any source as a zip file of the StyleGAN tools: PNGs and ``dataset.json``."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from biggan.data.contract import ImageSource
from biggan.data.preparation.fitting import to_picture
from biggan.data.sources.stylegan import INDEX
from biggan.foundation.errors import UserError
from biggan.foundation.files import replacing
from biggan.foundation.outputs import output_file

_IN_FOLDER = 1000  # images of one folder inside the archive, as the tools do it


def export_zip(
    source: ImageSource,
    destination: Path,
    progress: Callable[[int, int], object] = lambda *_: None,
    *,
    overwrite: bool = False,
) -> None:
    """Write every image and its class index; the class names go along as ``class_names``, which the tools pass over.

    Raises:
        UserError: the file exists and ``overwrite`` is not set, or the images are neither gray nor colour.
    """
    output_file(destination, overwrite=overwrite, option="DESTINATION")
    if source.channels not in (1, 3):
        raise UserError(f"PNG files have 1 or 3 channels, these images have {source.channels}; pack them as HDF5")
    labels: list[list[object]] = []
    with replacing(destination) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for index in range(len(source)):
            name = f"{index // _IN_FOLDER:05}/img{index:08}.png"
            buffer = io.BytesIO()
            to_picture(source.read(index)).save(buffer, "PNG")
            archive.writestr(name, buffer.getvalue())
            labels.append([name, int(source.labels[index])])
            progress(index + 1, len(source))
        content = {"labels": labels if source.class_names else None, "class_names": list(source.class_names)}
        archive.writestr(INDEX, json.dumps(content))
