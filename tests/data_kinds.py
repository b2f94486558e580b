"""The same labelled images, written as every kind of source reads them."""

from __future__ import annotations

import csv
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

NAMES = ("ape", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibex", "jay")
SIDE = 32


class Images(NamedTuple):
    """What is written: by class, then in the order of their paths."""

    pixels: np.ndarray[Any, Any]
    """uint8 [N, 3, 32, 32]."""
    labels: np.ndarray[Any, Any]
    names: tuple[str, ...]


def some_images(per_class: int = 4) -> Images:
    pixels = np.random.default_rng(5).integers(0, 256, (per_class * len(NAMES), 3, SIDE, SIDE), dtype=np.uint8)
    return Images(pixels, np.repeat(np.arange(len(NAMES)), per_class), NAMES)


def png(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()


def paths_of(images: Images) -> list[str]:
    return [f"{images.names[label]}/{i:05}.png" for i, label in enumerate(images.labels)]


def as_folder(images: Images, root: Path) -> str:
    for name, pixels in zip(paths_of(images), images.pixels, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(pixels))
    return str(root)


def as_zip(images: Images, root: Path) -> str:
    with zipfile.ZipFile(root / "folder.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, pixels in zip(paths_of(images), images.pixels, strict=True):
            archive.writestr(name, png(pixels))
    return str(root / "folder.zip")


def as_csv(images: Images, root: Path) -> str:
    with (root / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label"])
        for i, (pixels, label) in reversed(list(enumerate(zip(images.pixels, images.labels, strict=True)))):
            (root / f"{i:05}.png").write_bytes(png(pixels))
            table.writerow([f"{i:05}.png", images.names[label]])
    return str(root)


def as_json(images: Images, root: Path) -> str:
    for i, pixels in enumerate(images.pixels):
        (root / f"{i:05}.png").write_bytes(png(pixels))
    labels = {f"{i:05}.png": images.names[label] for i, label in enumerate(images.labels)}
    (root / "mine.json").write_text(json.dumps(labels))
    return str(root / "mine.json")


def stylegan_index(images: Images) -> str:
    labels = [[f"00000/img{i:08}.png", int(label)] for i, label in enumerate(images.labels)]
    return json.dumps({"labels": labels, "class_names": list(images.names)})


def as_stylegan_folder(images: Images, root: Path) -> str:
    (root / "00000").mkdir()
    for i, pixels in enumerate(images.pixels):
        (root / "00000" / f"img{i:08}.png").write_bytes(png(pixels))
    (root / "dataset.json").write_text(stylegan_index(images))
    return str(root)


def as_stylegan_zip(images: Images, root: Path) -> str:
    with zipfile.ZipFile(root / "stylegan.zip", "w") as archive:
        for i, pixels in enumerate(images.pixels):
            archive.writestr(f"00000/img{i:08}.png", png(pixels))
        archive.writestr("dataset.json", stylegan_index(images))
    return str(root / "stylegan.zip")


def as_chunked_hdf5(images: Images, root: Path) -> str:
    with h5py.File(root / "ILSVRC32.hdf5", "w") as file:
        file.create_dataset("imgs", data=images.pixels, chunks=(7, 3, SIDE, SIDE), maxshape=(None, 3, SIDE, SIDE))
        file.create_dataset("labels", data=images.labels, chunks=(7,), maxshape=(None,))
        file["class_names"] = list(images.names)
    return str(root / "ILSVRC32.hdf5")


def as_packed(images: Images, root: Path) -> str:
    from biggan.cli.main import main

    folder = as_folder(images, root / "folder")
    command = ["data", "prepare", folder, str(root / "packed.hdf5"), "--resolution", str(SIDE), "--workers", "0"]
    assert main(command) == 0
    return str(root / "packed.hdf5")


def as_npy(images: Images, root: Path) -> str:
    np.save(root / "images.npy", images.pixels)
    np.save(root / "images_labels.npy", images.labels)
    return str(root / "images.npy")


def as_npz(images: Images, root: Path) -> str:
    np.savez(root / "x.npz", x=images.pixels, y=images.labels, class_names=np.array(images.names))
    return str(root / "x.npz")


def as_compressed_npz_of_tensorflow(images: Images, root: Path) -> str:
    np.savez_compressed(root / "x.npz", images.pixels.transpose(0, 2, 3, 1), images.labels)
    return str(root / "x.npz")


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def as_cifar_binary(images: Images, root: Path) -> str:
    parts = np.array_split(np.arange(len(images.labels)), 5)
    with tarfile.open(root / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for number, part in enumerate(parts, 1):
            records = [bytes([images.labels[i]]) + images.pixels[i].tobytes() for i in part]
            add(archive, f"cifar-10-batches-bin/data_batch_{number}.bin", b"".join(records))
        records = [bytes([images.labels[i]]) + images.pixels[i].tobytes() for i in (3, 1)]
        add(archive, "cifar-10-batches-bin/test_batch.bin", b"".join(records))
        add(archive, "cifar-10-batches-bin/batches.meta.txt", "\n".join([*images.names, ""]).encode())
    return str(root / "cifar-10-binary.tar.gz")


def as_cifar_python(images: Images, root: Path) -> str:
    parts = np.array_split(np.arange(len(images.labels)), 5)
    with tarfile.open(root / "cifar-10-python.tar.gz", "w:gz") as archive:
        for number, part in enumerate(parts, 1):
            content = {b"data": images.pixels[part].reshape(len(part), -1), b"labels": images.labels[part].tolist()}
            add(archive, f"cifar-10-batches-py/data_batch_{number}", pickle.dumps(content, 2))
        meta = {b"label_names": [name.encode() for name in images.names]}
        add(archive, "cifar-10-batches-py/batches.meta", pickle.dumps(meta, 2))
    return str(root / "cifar-10-python.tar.gz")


def as_hub(images: Images, root: Path) -> str:
    import datasets

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(images.names))},
    )
    encoded = [{"bytes": png(pixels), "path": None} for pixels in images.pixels]
    table = datasets.Dataset.from_dict({"image": encoded, "label": images.labels.tolist()}, features=features)
    datasets.DatasetDict({"train": table}).save_to_disk(root / "saved")
    return str(root / "saved")


def as_shards(images: Images, root: Path, count: int = 3) -> str:
    for shard, part in enumerate(np.array_split(np.arange(len(images.labels)), count)):
        with tarfile.open(root / f"part-{shard:03}.tar", "w") as archive:
            for i in part:
                add(archive, f"{i:06}.png", png(images.pixels[i]))
                add(archive, f"{i:06}.cls", str(images.labels[i]).encode())
    (root / "class_names.txt").write_text("\n".join(images.names) + "\n")
    return str(root / f"part-{{000..{count - 1:03}}}.tar")


WRITERS: dict[str, tuple[str, Callable[[Images, Path], str]]] = {
    "folder": ("folder", as_folder),
    "zip of a folder": ("folder", as_zip),
    "CSV": ("labels", as_csv),
    "JSON": ("labels", as_json),
    "StyleGAN folder": ("stylegan", as_stylegan_folder),
    "StyleGAN zip": ("stylegan", as_stylegan_zip),
    "chunked HDF5": ("hdf5", as_chunked_hdf5),
    "packed HDF5": ("hdf5", as_packed),
    "npy": ("arrays", as_npy),
    "npz": ("arrays", as_npz),
    "compressed npz, NHWC": ("arrays", as_compressed_npz_of_tensorflow),
    "CIFAR binary archive": ("cifar", as_cifar_binary),
    "CIFAR python archive": ("cifar", as_cifar_python),
    "Hugging Face": ("hub", as_hub),
    "tar shards": ("shards", as_shards),
}
"""How it is called -> (name in the registry of sources, writer)."""
NAMELESS = ("npy", "compressed npz, NHWC")
"""Kinds that have no place for class names."""


def as_pictures(images: Images, root: Path) -> str:
    """Write one picture in every format and many of their forms."""
    folder = root / "pictures"
    folder.mkdir()
    colour = Image.fromarray(np.ascontiguousarray(images.pixels[0].transpose(1, 2, 0)))
    smooth = colour.resize((4, 4)).resize((48, 40), Image.Resampling.BICUBIC)
    gray, palette, clear = smooth.convert("L"), smooth.convert("P"), smooth.convert("RGBA")
    deep = Image.fromarray(np.arange(40 * 48, dtype=np.uint16).reshape(40, 48) * 30)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngInfo()
    text.add_text("key", "value", zip=True)
    text.add_itxt("other", "value", zip=True)
    forms: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "plain.jpg": (smooth, {"quality": 90}),
        "progressive.jpg": (smooth, {"progressive": True, "exif": exif, "icc_profile": profile}),
        "cmyk.jpg": (smooth.convert("CMYK"), {"icc_profile": profile}),
        "gray.jpg": (gray, {}),
        "rich.png": (smooth, {"exif": exif, "icc_profile": profile, "pnginfo": text}),
        "palette.png": (palette, {"transparency": 3}),
        "clear.png": (clear, {}),
        "deep.png": (deep, {}),
        "bilevel.png": (smooth.convert("1"), {}),
        "moving.png": (smooth, {"save_all": True, "append_images": [clear]}),
        "lossy.webp": (smooth, {"exif": exif, "icc_profile": profile}),
        "lossless.webp": (clear, {"lossless": True}),
        "moving.webp": (smooth, {"save_all": True, "append_images": [clear]}),
        "moving.gif": (palette, {"save_all": True, "append_images": [gray.convert("P")], "transparency": 2}),
        "plain.bmp": (smooth, {}),
        "palette.bmp": (palette, {}),
        "plain.tif": (smooth, {"exif": exif, "icc_profile": profile}),
        "lzw.tif": (clear, {"compression": "tiff_lzw"}),
        "deflate.tif": (deep, {"compression": "tiff_adobe_deflate"}),
        "jpeg.tif": (smooth, {"compression": "jpeg"}),
        "group4.tif": (smooth.convert("1"), {"compression": "group4"}),
        "cmyk.tif": (smooth.convert("CMYK"), {"compression": "packbits"}),
        "plain.ppm": (smooth, {}),
        "gray.pgm": (gray, {}),
        "bilevel.pbm": (smooth.convert("1"), {}),
        "plain.tga": (clear, {"compression": "tga_rle"}),
        "palette.tga": (palette, {}),
        "plain.jp2": (smooth, {}),
        "plain.avif": (smooth, {"exif": exif, "speed": 10}),
    }
    for name, (image, options) in forms.items():
        image.save(folder / name, **options)
    png_16_bit(folder / "deep_colour.png", np.asarray(smooth).astype(np.uint16) * 257)
    return str(folder)


def png_16_bit(path: Path, pixels: np.ndarray[Any, Any]) -> Path:
    """Write a 16-bit colour PNG by hand: Pillow cannot."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def as_compressed_hdf5(images: Images, root: Path) -> str:
    """Write chunked and compressed, with strings of a fixed length, as others do."""
    with h5py.File(root / "x.h5", "w", libver="latest") as file:
        file.create_dataset("imgs", data=images.pixels, chunks=(3, 3, SIDE, SIDE), compression="gzip", shuffle=True)
        file.create_dataset("labels", data=images.labels.astype(np.int16), compression="lzf", fletcher32=True)
        file["class_names"] = np.array([name.encode() for name in images.names])
    return str(root / "x.h5")


def as_cifar_folder(images: Images, root: Path) -> str:
    """Write the archive of pickles, unpacked."""
    with tarfile.open(as_cifar_python(images, root)) as archive:
        archive.extractall(root / "unpacked", filter="data")
    return str(root / "unpacked" / "cifar-10-batches-py")


HOSTILE: dict[str, Callable[[Images, Path], str]] = {
    **{title: writer for title, (_, writer) in WRITERS.items()},
    "pictures": as_pictures,
    "compressed HDF5": as_compressed_hdf5,
    "CIFAR folder": as_cifar_folder,
}
"""What is damaged on purpose: every kind, and forms of files that those do not hold."""
