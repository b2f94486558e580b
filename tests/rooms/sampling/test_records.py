"""Pictures that say how they were drawn, and what is read of those that lie."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import biggan
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.layers.normalization import batch_norms
from biggan.sampling.calibration import calibrate
from biggan.sampling.comparison import compare
from biggan.sampling.identity import network_hash
from biggan.sampling.interpolation import Route, embed_on_cpu
from biggan.sampling.picture_record import NoRecordError, PictureRecord, length, packed, to_text, unpacked
from biggan.sampling.pictures import HEAD, sheet, sheet_of
from biggan.sampling.png_text import KEY, png_bytes, read_record, record_options
from biggan.sampling.point_sheets import PointSheet
from biggan.sampling.recording import Recorder
from biggan.sampling.recreation import LARGEST_BATCH, find_generator, recreate
from biggan.sampling.sampler import Sampler
from tests.conftest import FAMILIES, tiny
from tests.snapshots import write


def with_text(*texts: str | bytes) -> bytes:
    """Return a PNG file of one pixel with these texts under our keyword."""
    info = PngInfo()
    for text in texts:
        info.add(b"tEXt", KEY.encode() + b"\x00" + (text.encode() if isinstance(text, str) else text))
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def plain(model: Sampler, **changes: Any) -> dict[str, Any]:
    """Return the record of an image as JSON has it, with changes."""
    text = Image.open(io.BytesIO(png_bytes(torch.zeros(3, 16, 16, dtype=torch.uint8), Recorder(model).image(6, 5))))
    found: dict[str, Any] = json.loads(text.info[KEY])
    return {**found, **changes}


@given(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 9), max_size=30))
@settings(max_examples=50, deadline=None)
def test_packed_numbers_come_back_in_their_order(numbers: list[int]) -> None:
    runs = packed(numbers)
    assert unpacked(runs) == numbers
    assert length(runs) == len(numbers)
    assert packed(range(1000)) == ((0, 999),)


def test_a_record_says_what_images_are_a_function_of(snapshot: Path) -> None:
    model = biggan.load(snapshot, "cpu")
    recorder = Recorder(model, 0.5, "clamp", 3)
    file = png_bytes(model.sample(["cat"], [5], 0.5, "clamp")[0], recorder.image(6, 5, 3, 1))
    stored = json.loads(Image.open(io.BytesIO(file)).info[KEY])
    assert stored["version"] == 1
    assert stored["image"] == {"label": 6, "seed": 5, "class_name": "cat", "rows": 3, "row": 1}
    assert (stored["truncation"], stored["truncation_kind"]) == (0.5, "clamp")
    assert stored["statistics"]["kind"] == "running"
    assert stored["generator"] == network_hash(model.generator)
    assert str(snapshot.parent) not in json.dumps(stored)
    assert read_record(file) == recorder.image(6, 5, 3, 1)
    assert len(json.dumps(Recorder(model).grid(range(10), range(100), 100).grid.__dict__)) < 200, "compact"


def test_the_hash_is_that_of_weights_and_statistics_alone(snapshot: Path, tmp_path: Path) -> None:
    model = biggan.load(snapshot, "cpu")
    known = network_hash(model.generator)
    calibrate(model, tmp_path / "bank.safetensors", [0.5], batches=1)
    assert network_hash(biggan.load(tmp_path / "bank.safetensors", "cpu").generator) == known
    assert network_hash(model.generator.to(memory_format=torch.contiguous_format)) == known  # type: ignore[call-overload]
    with torch.no_grad():
        next(iter(batch_norms(model.generator).values())).running_mean[0] += 1e-6
    assert network_hash(model.generator) != known


@pytest.mark.parametrize("what", ["image", "grid", "cycle", "sheet", "path", "older path", "loop", "interpolations"])
def test_what_was_drawn_is_drawn_again_bitwise(snapshot: Path, what: str) -> None:
    from biggan.sampling.interpolation import in_rows, interpolation_sheet, route_images
    from biggan.sampling.pictures import sheet_of, to_picture
    from biggan.sampling.sheets import class_sheets

    model = biggan.load(snapshot, "cpu")
    recorder = Recorder(model, 0.7, "scale", 4)
    if what == "image":
        made = to_picture(model.sample([1, 6, 3], [9, 5, 2], 0.7, "scale", 4)[1])
        record = recorder.image(6, 5, 3, 1)
    elif what in ("grid", "cycle"):
        labels = [3, 1] if what == "grid" else []
        every = [3, 3, 3, 1, 1, 1] if labels else [0, 1, 2]
        made = sheet(model.sample(every, [7, 8, 2] * max(len(labels), 1), 0.7, "scale", 4), 2)
        record = recorder.grid(labels, [7, 8, 2], 2)
    elif what == "sheet":
        pages = class_sheets(
            model.generator, model.class_names, labels=[1, 2], seeds=[4, 9], truncation=0.7, kind="scale", chunk=4
        )
        made, record = next(pages), recorder.grid([1, 2], [4, 9], 2, names=True)
    elif what in ("path", "loop", "older path"):
        route = Route(labels=(1, 2), seeds=(3, 4, 5), frames=3, loop=what == "loop")
        ends = what != "older path"
        parts = route_images(model, route, 0.7, "scale", 4)
        made = sheet_of(in_rows(parts, route, ends=ends), *route.cells(ends=ends))
        record = recorder.path(route)
        assert record.path is not None
        record = dataclasses.replace(record, path=dataclasses.replace(record.path, ends=ends))
    else:
        recorder = Recorder(model, batch=4)
        made = sheet(interpolation_sheet(model.generator, "zy", rows=2, columns=3, seed=1, chunk=4), 3)
        record = recorder.interpolations("zy", 2, 3, 1)
    if what in ("grid", "path"):  # the same, of larger pixels
        record = dataclasses.replace(record, enlarged=3)
        inside = np.asarray(made)[2:18, 2:18]
        larger, _ = recreate(read_record(png_bytes(made, record)), model)
        assert np.array_equal(np.asarray(larger)[2:50, 2:50], inside.repeat(3, 0).repeat(3, 1))
        record = dataclasses.replace(record, enlarged=1)
    again, notes = recreate(read_record(png_bytes(made, record)), biggan.load(snapshot, "cpu"))
    assert not notes
    assert again.mode == made.mode
    assert np.array_equal(np.asarray(again), np.asarray(made))


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_damaged_files_of_other_formats_are_told(ending: str, snapshot: Path, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    recorder = Recorder(biggan.load(snapshot, "cpu"))
    record = recorder.grid(range(10), [3, 5], 2)
    Image.new("RGB", (40, 40), "red").save(path, **record_options(path, record))
    whole = path.read_bytes()
    assert read_record(whole) == record
    description = whole.index(b"biggan {")
    for place in [*range(0, description + 30, 3), description + 200]:
        for change in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :], whole[:place] + whole[place + 1 :]):
            with contextlib.suppress(UserError):
                read_record(change)
    with pytest.raises(CorruptFileError):
        read_record(whole[: description + 8])
    if ending == ".jpg":
        with pytest.raises(UserError, match=r"use \.png, \.webp"):
            record_options(path, recorder.grid((), range(0, 90_000, 3), 2))


def test_samples_beside_real_images_are_drawn_again_and_the_real_ones_left_white(
    snapshot: Path, tmp_path: Path
) -> None:
    model = biggan.load(snapshot, "cpu")
    drawn = torch.cat([model.sample([6], [5], chunk=1), model.sample([2], [9], chunk=1)])
    real = torch.full((2, 2, *drawn.shape[1:]), 7, dtype=torch.uint8)
    made = sheet(torch.cat([drawn[:, None], real], dim=1).flatten(0, 1), 3, enlarged=2)
    record = Recorder(model, batch=1).rows([6, 2], [5, 9], 2, 2)
    (tmp_path / "s.png").write_bytes(png_bytes(made, record))
    again, notes = recreate(read_record(tmp_path / "s.png"), model)
    assert "left white" in notes[0]
    left = 2 + 16 * 2
    assert np.array_equal(np.asarray(again)[:, :left], np.asarray(made)[:, :left])
    assert (np.asarray(again)[:, left:] == 255).all()
    assert compare(again, tmp_path / "s.png", record) == "bitwise the picture in the file as far as a generator drew it"
    made.putpixel((5, 5), (0, 0, 0))
    made.putpixel((6, 5), (255, 255, 255))
    (tmp_path / "t.png").write_bytes(png_bytes(made, record))
    assert "differs from the file in" in compare(again, tmp_path / "t.png", record)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None, "grid": {"labels": [1], "seeds": [1, 2], "columns": 1, "paired": True}}, "one is missing"),
        ({"image": None, "grid": {"seeds": [1], "columns": 3, "beside": 1}}, "is one image and those"),
        ({"generator": "cafe"}, "64 hexadecimal digits"),
        ({"generator": 3}, "metadata: generator"),
        ({"version": 2}, "newer version"),
        ({"version": "1"}, "metadata: version"),
        ({"batch": 10**30}, "JSON"),
        ({"batch": 10**12}, "metadata: batch"),
        ({"truncation": 1e9, "truncation_kind": "scale"}, "metadata: truncation"),
        ({"truncation": 0.5}, "contradict each other"),
        ({"image": None}, "one of image, grid, path"),
        ({"image": {"label": -1, "seed": 0}}, "metadata: image.label"),
        ({"image": {"label": 1, "seed": 2**63}}, "metadata: image.seed"),
        ({"enlarged": 2}, "only sheets are"),
        ({"enlarged": 0}, "metadata: enlarged"),
        ({"image": {"label": 1, "seed": 0, "rows": 2, "row": 2}}, "image 2 of a batch of 2"),
        ({"image": None, "grid": {"seeds": [[0, 2**62]], "columns": 1}}, "where a picture can show"),
        ({"image": None, "grid": {"seeds": [[9, 1]], "columns": 1}}, "runs backwards"),
        ({"statistics": {"kind": "bank", "between": [0.5]}}, "between one truncation"),
        ({"file": "/home/me"}, "unknown name 'file'"),
    ],
)
def test_records_that_cannot_be_are_sentences(snapshot: Path, changes: dict[str, Any], message: str) -> None:
    record = {
        name: value for name, value in plain(biggan.load(snapshot, "cpu"), **changes).items() if value is not None
    }
    with pytest.raises(CorruptFileError, match=message):
        read_record(with_text(json.dumps(record)))


def points(model: Sampler, **changes: Any) -> dict[str, Any]:
    """Return the record of a sheet of three points and a white cell as JSON has it, with changes of these."""
    shown = PointSheet(
        z=torch.randn(3, model.info.architecture.z_size),
        embedding=embed_on_cpu(model.generator, torch.tensor([1, 2, 1])),
        columns=2,
        titles=("a", "b"),
        blank=(0,),
    )
    found = json.loads(to_text(Recorder(model).points(shown)))
    assert found["points"]["condition_of"] in ([0, 1, 0], [1, 0, 1]), "each condition is written once"
    return {**found, "points": {**found["points"], **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z": {"width": 20, "values": "!"}}, "not in base64"),
        ({"z": {"width": 7, "values": "AAAAAAAAAAA="}}, "8 bytes are no rows of 7 numbers"),
        ({"z": {"width": 1, "values": "AADAfw=="}}, "not finite"),
        ({"z": {"width": 0, "values": ""}}, "0 latents for 3 images"),
        ({"z": {"type": "float16", "width": 1, "values": ""}}, "float16"),
        ({"condition_of": []}, "condition_of"),
        ({"condition_of": [0, 0]}, "3 latents for 2 images"),
        ({"condition_of": [0, 5, 0]}, "condition 5 of 2"),
        ({"blank": [4]}, "do not rise within 0 to 3"),
        ({"blank": [1, 1]}, "do not rise"),
        ({"row_names": ["a", "b", "c"]}, "3 names of 2 rows"),
        ({"blank": [], "row_names": ["a", "b"], "columns": 1}, "2 names of 3 rows"),
        ({"column_names": ["a"], "blank": [], "condition_of": [0, 1, 0]}, "1 names of 2 columns"),
        ({"column_names": ["a", "b", "c"]}, "3 names of 2 columns"),
        ({"single": True}, "4 cells of one image"),
        ({"columns": 0}, "columns"),
        ({"columns": 100_000}, "where 65,500 a side"),
        ({"coarse": 9}, "numbers of a latent"),
        ({"z": {"width": 1, "values": "AACAPwAAgD8AAIA/"}}, "1 numbers of a latent"),
        ({"mixtures": [[[1, 1.0]]]}, "mixtures in their place"),
        ({"conditions": {"width": 0, "values": ""}, "mixtures": [[[1, 1.0]]]}, "condition 1 of 1"),
        ({"conditions": {"width": 0, "values": ""}, "mixtures": [[[1, 0.5], [10, 0.5]], []]}, "class 10 of 10"),
        ({"conditions": {"width": 1, "values": "AACAPwAAgD8="}}, "and 1 of a class"),
    ],
)
def test_points_that_cannot_be_are_sentences(snapshot: Path, changes: dict[str, Any], message: str) -> None:
    model = biggan.load(snapshot, "cpu")
    recreate(read_record(with_text(json.dumps(points(model)))), model)
    with pytest.raises(UserError, match=message):
        recreate(read_record(with_text(json.dumps(points(model, **changes)))), model)


@pytest.mark.parametrize(
    ("file", "kind", "message"),
    [
        (with_text(), NoRecordError, "does not say how it was drawn"),
        (b"GIF89a", CorruptFileError, "no PNG, JPEG or WebP file"),
        (b"", CorruptFileError, "no PNG, JPEG or WebP file"),
        (with_text("{}")[:45], CorruptFileError, "cut off"),
        (with_text("{}"), CorruptFileError, "missing"),
        (with_text("[" * 100_000), CorruptFileError, "JSON"),
        (with_text(b"\xff\xfe"), CorruptFileError, "JSON"),
        (with_text("null"), CorruptFileError, "metadata"),
        (with_text(" " * (4 * 2**20 + 1)), CorruptFileError, "bytes of metadata"),
        (with_text("{}").replace(b"{}", b"[]"), CorruptFileError, "checksum"),
    ],
    ids=["none", "gif", "empty", "cut", "{}", "deep", "latin", "null", "large", "changed"],
)
def test_files_that_carry_no_record_are_sentences(file: bytes, kind: type[UserError], message: str) -> None:
    with pytest.raises(kind, match=message):
        read_record(file)


def test_lengths_that_a_file_claims_cost_nothing(tmp_path: Path) -> None:
    """A chunk may claim 4 GB, and a compressed one hold what would become gigabytes: neither is read."""
    head = with_text()[:33]
    claims = head + struct.pack(">I4s", 2**32 - 1, b"tEXt") + KEY.encode() + b"\x00"
    (tmp_path / "claims.png").write_bytes(claims)
    with pytest.raises(CorruptFileError, match="cut off, or damaged"):
        read_record(tmp_path / "claims.png")
    bomb = b"zTXt" + KEY.encode() + b"\x00\x00" + zlib.compress(b"0" * 10**7)
    chunk = struct.pack(">I", len(bomb) - 4) + bomb + struct.pack(">I", zlib.crc32(bomb))
    with pytest.raises(NoRecordError):
        read_record(head + chunk + with_text()[33:])
    with pytest.raises(UserError, match="no such file"):
        read_record(tmp_path / "none.png")
    with pytest.raises(UserError, match="not a file"):
        read_record(tmp_path)


def test_a_segment_of_a_jpeg_cannot_ask_for_the_whole_file(tmp_path: Path) -> None:
    with (tmp_path / "e.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff\xe1" + struct.pack(">H", 1) + b"Exif\0\0")
        file.truncate(2**40)  # nothing of which lies on the disk
    with pytest.raises(CorruptFileError, match="cut off, or damaged"):
        read_record(tmp_path / "e.jpg")


def test_a_name_of_a_column_is_whole_or_not_there() -> None:
    images = torch.full((3, 1, 20, 20), 255, dtype=torch.uint8)
    for names, drawn in ((("+1", "+2", "+3"), True), (("+1.5", "0", "+1.5"), False), (("+9", "+10", "+11"), True)):
        head = np.asarray(sheet_of([images], 3, 3, (), 1, names))[:HEAD]
        assert bool((head < 255).any()) == drawn


@pytest.mark.parametrize("family", FAMILIES)
def test_points_in_another_precision_are_drawn_or_refused(family: str, tmp_path: Path) -> None:
    model = biggan.load(write(tmp_path / "640.safetensors", tiny(family, channels=3)), "cpu")
    points = PointSheet(
        z=torch.randn(2, model.info.architecture.z_size, dtype=torch.float64),
        embedding=embed_on_cpu(model.generator, torch.tensor([1, 2])).double(),
        columns=2,
    )
    made = points.picture(points.images(model.generator))
    again, _ = recreate(read_record(png_bytes(made, Recorder(model).points(points))), model)
    assert np.array_equal(np.asarray(again), np.asarray(made))
    record = Recorder(model).points(dataclasses.replace(points, z=1e300 * points.z))
    with pytest.raises(CorruptFileError, match="beyond what this generator computes with"):
        recreate(record, model)
    halves = dataclasses.replace(points, z=points.z.bfloat16(), embedding=points.embedding.half())
    assert np.array_equal(halves.shown().z.rows(), halves.z.float().numpy())


def test_a_huge_batch_is_not_drawn(snapshot: Path) -> None:
    model = biggan.load(snapshot, "cpu")
    most = LARGEST_BATCH * 256
    record = plain(model, batch=10**7, image={"label": 1, "seed": 3, "rows": 10**7, "row": 4})
    made, notes = recreate(read_record(with_text(json.dumps(record))), model)
    assert [note.split(",")[0] for note in notes] == ["it was drawn 10", "it was drawn in a batch of 10"]
    assert most < 10**7
    assert np.abs(np.asarray(made).astype(int) - model.sample([1], [3])[0].permute(1, 2, 0).numpy()).max() <= 1


def test_pictures_too_large_and_classes_that_are_not_there(snapshot: Path) -> None:
    model = biggan.load(snapshot, "cpu")
    for changes, message in (
        ({"grid": {"seeds": [[0, 1_999_999]], "columns": 1000}}, "where 65,500 a side"),
        ({"grid": {"labels": [10], "seeds": [0], "columns": 1}}, "no class with index 10"),
        ({"grid": {"seeds": [], "columns": 1}}, "no seeds"),
        ({"path": {"labels": [1], "seeds": [1], "frames": 2, "curve": "linear", "loop": True}}, "two different points"),
    ):
        record = {name: value for name, value in plain(model, **changes).items() if name != "image"}
        with pytest.raises(UserError, match=message):
            recreate(read_record(with_text(json.dumps(record))), model)


def test_the_generator_is_found_by_its_hash(snapshot: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    others = [write(run / "snapshots" / f"{images}.safetensors", seed=images) for images in (64, 640, 6400)]
    calibrate(biggan.load(others[1], "cpu"), tmp_path / "bank.safetensors", [0.5], batches=1)
    bank = biggan.load(tmp_path / "bank.safetensors", "cpu")

    def search(record: PictureRecord, place: Path, **options: bool) -> tuple[Path, bool]:
        found = find_generator(record, place, "cpu", **options)
        return found.path, found.same

    record = Recorder(biggan.load(others[1], "cpu")).image(1, 2)
    assert search(record, run) == (others[1], True)
    assert search(record, others[1]) == (others[1], True)
    assert search(record, tmp_path / "bank.safetensors") == (tmp_path / "bank.safetensors", True)
    others[0].write_bytes(b"damaged")
    assert search(record, run) == (others[1], True)
    with pytest.raises(UserError, match="not the calibrated statistics"):
        search(Recorder(bank, 0.5).image(1, 2), run)
    assert search(Recorder(bank, 0.5).image(1, 2), tmp_path / "bank.safetensors")[1]
    strange = Recorder(biggan.load(snapshot, "cpu")).image(1, 2)
    with pytest.raises(UserError, match=r"none of the 2 generators here is the one.*1 could not be read"):
        search(strange, run)
    with pytest.raises(UserError, match="this is another generator"):
        search(strange, others[1])
    assert search(strange, run, anyway=True) == (others[2], False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no generator lies here"):
        search(strange, tmp_path / "empty")
