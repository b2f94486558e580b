"""A page's arithmetic is ours, its settings are text, and what cannot be is said before anything is read."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import biggan
from biggan.cli.main import main
from biggan.exporting.banked_program import shares_at
from biggan.exporting.card import Card, card
from biggan.exporting.contract import ExportRequest
from biggan.exporting.export import name_of
from biggan.exporting.page_folder import COPIED, SOURCES
from biggan.exporting.page_runtime import find_runtime, policy
from biggan.exporting.page_settings import drawn_by, settings, settings_script
from biggan.exporting.programs import programs
from biggan.foundation.errors import UserError
from biggan.foundation.images import to_bytes
from biggan.layers.normalization import RUNNING_STATISTICS
from biggan.models.export_file import Export, write_export
from biggan.models.norm_records import TruncationBank
from biggan.sampling.bank import Bank
from biggan.sampling.draw import draw
from biggan.sampling.interpolation import embed_on_cpu, path_through
from biggan.sampling.latents import LARGEST_SEED, TRUNCATION_KINDS, latents
from biggan.sampling.picture_record import from_text
from biggan.sampling.pictures import to_picture
from biggan.sampling.recording import Recorder
from biggan.sampling.recreation import recreate
from tests.rooms.exporting.exported import export_of, small
from tests.rooms.exporting.javascript import needs_node, under_node

AWAY = find_runtime("https://example.org/ort/dist")
PLAIN = {
    **{"kinds": ["none", *TRUNCATION_KINDS], "classes": 5, "latentSize": 7, "truncation": None},
    "classNames": ["daisy", "rose", "tulip", "", "red oak"],
}


def a_card(**values: Any) -> Card:
    export = export_of(small("biggan"), discriminator=False, **values)
    request = ExportRequest(mixtures=True)
    return card(export, programs(export, request)[0], request)


@needs_node
def test_the_latents_of_a_seed_are_ours() -> None:
    seeds = [0, 1, 2, 7, 12345, 2**32 - 1, 2**53 + 1, LARGEST_SEED]
    ways = [(None, "resample"), (0.1, "resample"), (1.0, "resample"), (0.7, "scale"), (0.3, "clamp"), (0.7, "tfhub")]
    cases = [(str(seed), size, t, kind) for seed in seeds for size in (1, 2, 33, 128) for t, kind in ways]
    found = under_node("given.map(([s, n, t, kind]) => Array.from(L.latent(s, n, t, kind)))", cases)
    ours = [latents([int(seed)], size, t, kind)[0].numpy() for seed, size, t, kind in cases]
    theirs = [np.array(row, dtype=np.float32) for row in found]
    assert [len(row) for row in ours] == [len(row) for row in theirs]
    a, b = np.concatenate(ours), np.concatenate(theirs)
    # Logarithm and cosine of two libraries: to the last bit of float32, and that hardly ever.
    assert (a != b).mean() < 1e-3
    assert np.allclose(a, b, rtol=3e-7, atol=0)


@needs_node
def test_pixels_are_rounded_as_ours() -> None:
    values = torch.cat([torch.linspace(-1.01, 1.01, 1000), (torch.arange(256) + 0.5) / 127.5 - 1, torch.randn(4)])
    for channels in (1, 3):
        images = values[:1260].reshape(channels, 1, -1)
        given = [images.flatten().tolist(), channels, 1, images.shape[2]]
        found = torch.tensor(under_node("Array.from(L.pixels(...given))", given)).reshape(-1, 4)
        ours = to_bytes(images)[:, 0].T.expand(-1, 3)
        assert torch.equal(found[:, :3], ours.int())
        assert bool((found[:, 3] == 255).all())


@needs_node
@pytest.mark.parametrize("curve", ["spherical", "linear"])
def test_a_path_is_that_of_interpolate(curve: Any) -> None:
    address = f"#seed=3&class=1&end-seed=9&end-class=4&curve={curve}&steps=6&second=2"
    found, mixed = under_node(
        "((state, at) => [[0, 1, 2, 3, 4, 5, 6].map((i) => at({ ...state, position: i })),"
        "at({ ...state, share: 25 })])(S.read(...given),"
        "(s) => { const p = S.point(s, given[1], L); return [Array.from(p.z), Array.from(p.weights)]; })",
        [address, PLAIN],
    )
    z, weights = (torch.tensor([row[part] for row in found]) for part in (0, 1))
    assert torch.allclose(z, path_through(latents([3, 9], 7), 6, curve), atol=1e-6)
    assert torch.allclose(weights, path_through(torch.eye(5)[[1, 4]], 6, "linear"), atol=1e-6)
    assert mixed[1] == [0, 0.75, 0.25, 0, 0]


@needs_node
def test_an_address_holds_the_state_and_nonsense_changes_nothing() -> None:
    set_here = {
        "seed": str(LARGEST_SEED), "class": 4, "kind": "tfhub", "truncation": 0.35, "second": 3, "share": 40,
        "endSeed": "17", "endClass": 2, "curve": "linear", "steps": 9, "speed": 30, "position": 5, "again": True,
    }  # fmt: skip
    wrong = (
        "#seed=-1&class=x&kind=constructor&truncation=&second=NaN&share=Infinity&end-seed=9223372036854775808"
        "&end-class=1e999&curve=__proto__&steps=&speed=none&position=-&again=yes&<script>=1&%E0%A4%A"
    )
    back, usual, unmoved, beyond, round_the_end = under_node(
        "((state, wrong, beyond, settings) => [S.read(S.write(state, settings), settings), S.initial(settings),"
        "S.read(wrong, settings), S.read(beyond, settings),"
        "[S.seedBeside('0', -1), S.seedBeside(state.seed, 1)]])(...given)",
        [set_here, wrong, "#class=99&truncation=9&steps=1e9&position=7.4&share=-3", PLAIN],
    )
    assert back == set_here
    assert unmoved == usual
    assert beyond == {**usual, "truncation": 2, "steps": 240, "position": 7}
    assert round_the_end == [str(LARGEST_SEED), "0"]


@needs_node
def test_what_an_address_gives_wrongly_is_told_with_what_is_taken() -> None:
    read = "given[0].map((address) => { const doubts = []; S.read(address, given[1], doubts); return doubts; })"
    seeds = f"a seed is a whole number from 0 to {LARGEST_SEED}"
    cases = {
        "#class=99": ["class=99 (classes are 0 to 4, or their names; 0 is taken)"],
        "#class=": ["class= (classes are 0 to 4, or their names; 0 is taken)"],
        "#class=1.5": ["class=1.5 (classes are 0 to 4, or their names; 0 is taken)"],
        "#seed=-1": [f"seed=-1 ({seeds}; 0 is taken)"],
        "#seed=1e99": [f"seed=1e99 ({seeds}; 0 is taken)"],
        "#kind=clamp&truncation=0": ["truncation=0 (two decimals, 0.05 to 2; 0.05 is taken)"],
        "#kind=clamp&truncation=abc": ["truncation=abc (two decimals, 0.05 to 2; 1 is taken)"],
        "#kind=clamp&truncation=0.123": ["truncation=0.123 (two decimals, 0.05 to 2; 0.12 is taken)"],
        "#truncation=0.5": ["truncation without a kind (resample, scale, clamp, tfhub; nothing is truncated)"],
        "#share=700": ["share=700 (per cent, 0 to 100; 100 is taken)"],
        "#position=9&steps=4": ["position=9 (a step from 0 to 4; 4 is taken)"],
        "#curve=round": ["curve=round (spherical or linear; spherical is taken)"],
        "#again=yes": ["again=yes (0 or 1; false is taken)"],
        "#sed=3": ["sed (no word of this page)"],
        "#seed=3&seed=4": ["seed (it stands there more than once; the first is taken)"],
        "#\u202ea\nb" + "c" * 40: ["?a?bcccccccccccccccccccc… (no word of this page)"],
        # What is possible, however it is written.
        "": [],
        "#class=tulip&second=rose&end-class=red+oak": [],
        "#seed=007&class=4&kind=scale&truncation=0.50&share=1e1&steps=9&position=5&again=0&end-class=2&second=3": [],
    }
    assert under_node(read, [list(cases), PLAIN]) == list(cases.values())
    named = under_node("S.read(...given)", ["#class=tulip&second=rose&end-class=red+oak", PLAIN])
    assert (named["class"], named["second"], named["endClass"]) == (2, 1, 4)
    alone = {**PLAIN, "classes": 0, "classNames": [], "kinds": ["clamp"], "truncation": 0.5}
    cases = {
        "#class=3": ["class=3 (this generator has no classes; none is taken)"],
        "#share=30": ["share=30 (without a second class 0 to 0; 0 is taken)"],
        "#truncation=0.7": ["truncation=0.7 (this page has one; 0.5 is taken)"],
        "#kind=none": ["kind=none (clamp; clamp is taken)"],
        "#kind=clamp&truncation=0.5": [],
    }
    assert under_node(read, [list(cases), alone]) == list(cases.values())
    sentences = under_node("given.map(S.doubtful)", [[], ["a"], list("abcdef")])
    assert sentences == ["", *(f"Not possible of this address: {text}." for text in ("a", "a, b, c, d, and 2 more"))]


@needs_node
def test_what_a_page_writes_into_its_address_is_possible() -> None:
    kinds = [{"kind": kind, "truncation": 0.5, "share": 20, "position": 3, "again": True} for kind in PLAIN["kinds"]]
    doubts = under_node(
        "given[0].map((state) => { const doubts = []; S.read(S.write({ ...S.initial(given[1]), ...state }, given[1]), "
        "given[1], doubts); return doubts; })",
        [kinds, PLAIN],
    )
    assert doubts == [[]] * len(kinds)


@needs_node
def test_a_download_is_called_after_class_and_seed_and_fits_every_system() -> None:
    names = ["daisy", "golden_retriever", "../etc/pass wd", "con", "aux.txt", 'a"b<c>:d|e?f*g', "\u202etxt.exe", "",
             "...", "Édouard", "हिन्दी", "\U00020000" * 99, "a\n\0b", "-x-", "LPT1."]  # fmt: skip
    told = {**PLAIN, "classes": len(names), "classNames": names}
    made = under_node("given.classNames.map((_, i) => S.fileName({ ...S.initial(given), class: i, seed: '3' }, given))",
                      told)  # fmt: skip
    parts = ["daisy", "golden_retriever", "etc-pass-wd", "con", "aux-txt", "a-b-c-d-e-f-g", "txt-exe", "class7",
             "class8", "Édouard", "हिन्दी", "\U00020000" * 12, "a-b", "x", "LPT1"]  # fmt: skip
    assert made == [f"{part}-3.png" for part in parts]
    longest = {"class": 11, "seed": str(LARGEST_SEED), "second": 11, "share": 100, "position": 239, "steps": 240,
               "endClass": 11, "endSeed": str(LARGEST_SEED)}  # fmt: skip
    several = [{"share": 25, "second": 9}, {"position": 1, "steps": 4, "endSeed": "9", "endClass": 3}, longest]
    found = under_node("given[1].map((more) => S.fileName({ ...S.initial(given[0]), ...more }, given[0]))",
                       [told, several])  # fmt: skip
    assert found[:2] == ["daisy-with-25-Édouard-0.png", "daisy-0-to-con-9-1of4.png"]
    assert len(found[2].encode()) < 255
    without = {**PLAIN, "classes": 0, "classNames": []}
    assert under_node("S.fileName({ ...S.initial(given), position: 3 }, given)", without) == "seed0-to-seed1-3of24.png"


def test_names_are_text_whatever_they_hold() -> None:
    hostile = ("</script><script>alert(1)</script>", 'a"b\\', "\u2028\n\u202ex", "\ud800", "<!--", *"fghij")
    script = settings_script(settings(a_card(names=hostile), None, AWAY, {}, embedded=True))
    assert script.isascii()
    assert "<" not in script
    value = json.loads(re.fullmatch(r'"use strict";\nglobalThis\.BIGGAN = (.*);\n', script, re.DOTALL)[1])  # type: ignore[index]
    assert value["classNames"][:2] == list(hostile[:2])
    assert value["classNames"][2:4] == ["\\u2028\\n\\u202ex", "\\ud800"]


BANKS = (
    TruncationBank(truncations=(0.25, 0.5, 1.0), kind="scale", batches=1, batch=1),
    TruncationBank(truncations=(0.5,), kind="resample", batches=1, batch=1),
    TruncationBank(
        truncations=tuple(place / 10 for place in range(11)),
        kind="tfhub",
        batches=None,
        batch=None,
        compatibility="pytorch-pretrained-biggan",
    ),
)


def banked(record: TruncationBank) -> Export:
    """Return a generator whose statistics differ at every truncation, so that any mistake shows."""
    model = small("biggan", resolution=(16, 16), generator_attention=(), discriminator_attention=())
    export = export_of(model, discriminator=False)
    chance = torch.Generator().manual_seed(1)
    tensors = {
        f"{place}/{name}": torch.rand(value.shape, generator=chance) + 0.5
        for place in range(len(record.truncations))
        for name, value in export.sampled.items()
        if name.rpartition(".")[2] in RUNNING_STATISTICS
    }
    return dataclasses.replace(export, info=dataclasses.replace(export.info, truncation_bank=record), bank=tensors)


def test_all_truncations_are_offered_and_the_bank_is_told() -> None:
    plain = settings(a_card(), None, AWAY, {}, embedded=True)
    assert (plain["kinds"], plain["bank"]) == (["none", *TRUNCATION_KINDS], None)
    told = settings(a_card(), BANKS[0], AWAY, {}, embedded=True)
    assert told["kinds"] == ["none", *TRUNCATION_KINDS]
    bank = {"kind": "scale", "truncations": [0.25, 0.5, 1.0], "reversed": False, "batches": 1, "batch": 1}
    assert told["bank"] == bank
    fixed = settings(
        dataclasses.replace(a_card(), truncation=0.5, truncation_kind="scale"), None, AWAY, {}, embedded=True
    )
    assert (fixed["kinds"], fixed["truncation"]) == (["scale"], 0.5)


@needs_node
@pytest.mark.parametrize("record", BANKS, ids=lambda record: record.kind)
def test_shares_of_statistics_are_those_of_sampling(record: TruncationBank) -> None:
    told = settings(a_card(), record, AWAY, {}, embedded=True)["bank"]
    bank = Bank(record=record, tensors={})
    asked = [0.05, 0.1, 0.25, 0.3, 0.33, 0.5, 0.7, 0.99, 1, 2]
    found = under_node(
        "given[1].map((t) => Array.from(S.shares({ kind: given[0].kind, truncation: t }, given[0])))", [told, asked]
    )
    for t, row in zip(asked, found, strict=True):
        assert torch.tensor(row).tolist() == shares_at(bank, t).tolist(), t
    (other,) = under_node("[Array.from(S.shares({ kind: 'none', truncation: 1 }, given))]", told)
    assert other == shares_at(bank, None).tolist()


@pytest.mark.parametrize(
    "by", ["module", pytest.param("file", marks=pytest.mark.nightly)]
)  # by day what the graph is of
def test_a_page_of_a_calibrated_file_draws_as_sampling_does_at_any_truncation(by: str, tmp_path: Path) -> None:
    export, record = banked(BANKS[0]), BANKS[0]
    write_export(tmp_path / "flowers.safetensors", export)
    sampler = biggan.load(tmp_path / "flowers.safetensors", "cpu")
    weights, bank = torch.eye(export.info.architecture.classes)[[3]], Bank(record=record, tensors=export.bank)
    if by == "module":
        module = programs(export, ExportRequest(mixtures=True, shares=True))[0].module
    else:
        onnxruntime = pytest.importorskip("onnxruntime")
        words = ["export", str(tmp_path / "flowers.safetensors"), "--to", "page", "--runtime", AWAY.address]
        assert main([*words, "--out", str(tmp_path / "page")]) == 0
        assert '"title": "flowers"' in (tmp_path / "page" / "settings.js").read_text()
        session = onnxruntime.InferenceSession((tmp_path / "page" / "generator.onnx").read_bytes())

    @torch.no_grad()
    def drawn(z: Tensor, t: float | None) -> Tensor:
        shares = shares_at(bank, t)
        if by == "module":
            return to_bytes(module(z, weights, shares))
        feed = {"z": z.numpy(), "labels": weights.numpy(), "shares": shares.numpy()}
        return to_bytes(torch.from_numpy(session.run(None, feed)[0]))

    for t, kind in ((None, "scale"), (0.25, "scale"), (0.4, "scale"), (2.0, "scale"), (0.4, "clamp")):
        z = latents([5], export.info.architecture.z_size, t, kind)
        found = drawn(z, t if kind == record.kind else None)
        assert apart_from(found, sampler.sample([3], [5], t, kind)) <= 1, (t, kind)
    z = latents([5], export.info.architecture.z_size, 0.25, "scale")
    assert apart_from(drawn(z, None), drawn(z, 0.25)) > 20, "the statistics matter here"


@needs_node
@pytest.mark.parametrize("record", [None, *BANKS], ids=lambda record: "plain" if record is None else record.kind)
def test_a_picture_says_what_recreate_needs(record: TruncationBank | None, tmp_path: Path) -> None:
    export = banked(BANKS[0] if record is None else record)
    if record is None:
        export = dataclasses.replace(export, info=dataclasses.replace(export.info, truncation_bank=None), bank={})
    names = ("", 'é "<b>', *map(str, range(2, export.info.architecture.classes)))
    export = dataclasses.replace(export, info=dataclasses.replace(export.info, class_names=names))
    write_export(tmp_path / "flowers.safetensors", export)
    sampler = biggan.load(tmp_path / "flowers.safetensors", "cpu")
    request = ExportRequest(mixtures=True, shares=record is not None)
    (program,) = programs(export, request)
    assert program.statistics is not None
    said = drawn_by(export, program.statistics, AWAY)
    told = settings(card(export, program, request), record, AWAY, said, embedded=True)
    asked = [(None, "none"), *((t, kind) for t in (0.1, 0.4, 0.5, 1, 1.7) for kind in TRUNCATION_KINDS)]
    places = [(str(LARGEST_SEED), 2, 0), ("3", 1, 5)]  # a beginning, and the end of a path to it
    found = under_node(
        "given[1].flatMap(([truncation, kind]) => given[2].map(([seed, label, position]) => P.record({ seed: '8', "
        "class: 0, kind, truncation, share: position * 9, steps: 5, position, endSeed: seed, endClass: label, "
        "...(position ? {} : { seed, class: label }) }, given[0])))",
        [told, asked, places],
    )
    for (t, kind), (seed, label, _), text in zip(
        [each for each in asked for _ in places], places * len(asked), found, strict=True
    ):
        ours = Recorder(sampler, t, "resample" if t is None else kind, batch=1).image(label, int(seed))
        machine = from_text(text, "a page").machine
        assert (machine.torch, machine.threads) == ("ONNX Runtime Web", 1)
        assert from_text(text, "a page") == dataclasses.replace(ours, machine=machine)
        assert text.isascii()
    # What no seed names says where it is, and that is drawn again; statistics are those of the truncation.
    between = [
        {"share": 25, "second": 3, "seed": "12"},
        {"share": 25, "second": 3, "position": 3, "seed": "12", "endSeed": "9", "endClass": 2, "curve": "linear"},
    ]
    between = [{**each, "kind": "scale", "truncation": 0.4} for each in between]
    found = under_node(
        "given[1].map((more) => ({ ...S.initial(given[0]), ...more })).map((state) => [P.record(state, given[0], "
        "S.point(state, given[0], L)), state.class, state.steps])",
        [told, between],
    )
    for text, label, steps in found:
        shown = from_text(text, "a page").points
        assert shown is not None
        z = latents([12, 9], export.info.architecture.z_size, 0.4, "scale")
        own = embed_on_cpu(sampler.generator, torch.tensor([label, 3, 2]))
        embedding = 0.75 * own[0] + 0.25 * own[1]
        if "of" in shown.about:
            t = 3 / steps
            z, embedding = (1 - t) * z[:1] + t * z[1:], (1 - t) * embedding + t * own[2]
        ours = draw(sampler.at_truncation(0.4, "scale"), z[:1], embedding[None])
        made, _ = recreate(from_text(text, "a page"), sampler)
        assert np.abs(np.asarray(made).astype(int) - np.asarray(to_picture(ours[0])).astype(int)).max() <= 1


@needs_node
def test_a_picture_of_a_page_is_a_file_as_ours(tmp_path: Path) -> None:
    for channels, mode in ((1, "L"), (3, "RGB"), (4, "L")):
        image = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
        rows = [*image[:3].expand(3, -1, -1)] if channels < 4 else [image[0]] * 3
        data = torch.stack([*rows, torch.full((5, 7), 255, dtype=torch.uint8)], -1).flatten().tolist()
        (tmp_path / "x.png").write_bytes(
            bytes(
                under_node(
                    "P.file({ data: given[0], width: 7, height: 5 }, given[1], 'x')"
                    ".then((file) => file.arrayBuffer()).then((bytes) => Array.from(new Uint8Array(bytes)))",
                    [data, channels],
                )
            )
        )
        with Image.open(tmp_path / "x.png") as opened:
            assert opened.mode == mode
            assert opened.text == {"biggan": "x"}  # type: ignore[attr-defined]  # of PNG files
            assert np.array_equal(np.asarray(opened), np.asarray(to_picture(image)))


def apart_from(found: Tensor, ours: Tensor) -> int:
    return int((found.int() - ours.int()).abs().max())


def test_a_page_is_called_after_the_run_or_the_file(tmp_path: Path) -> None:
    run = tmp_path / "my flowers"
    for inner in ("checkpoints/640", "snapshots"):
        (run / inner).mkdir(parents=True)
    for file in ("snapshots/640.safetensors", "640-calibrated.safetensors"):
        (run / file).touch()
    (tmp_path / "roses.v2.safetensors").touch()
    for given in (run, run / "checkpoints" / "640", *run.rglob("*.safetensors")):
        assert name_of(given) == "my flowers"
    assert name_of(tmp_path / "roses.v2.safetensors") == "roses.v2"
    assert settings(a_card(), None, AWAY, {}, name="a\u202eb", embedded=True)["title"] == "a\\u202eb"


def test_the_policy_allows_our_files_and_the_runtime() -> None:
    away = policy(AWAY, embedded=True)
    assert AWAY.address == "https://example.org/ort/dist/"
    assert "script-src 'self' 'wasm-unsafe-eval' https://example.org/ort/dist/;" in away
    assert "default-src 'none'" in away
    assert "unsafe-inline" not in away
    assert "'unsafe-eval'" not in away


def an_npm_package(folder: Path, **changed: bytes) -> Path:
    """Write what has the look of the runtime's files."""
    files = {
        "ort.wasm.min.js": b"/*! ONNX Runtime Web v1.20.1 */",
        "ort-wasm-simd-threaded.mjs": b"export default 1",
        "ort-wasm-simd-threaded.wasm": b"\0asm",
    }
    (folder / "dist").mkdir(parents=True)
    for name, content in files.items():
        (folder / "dist" / name).write_bytes(changed.get(name.rpartition(".")[2], content))
    return folder


def test_a_runtime_is_found_in_its_package_or_its_folder(tmp_path: Path) -> None:
    package = an_npm_package(tmp_path / "p")
    for named in (package, package / "dist"):
        found = find_runtime(str(named))
        assert (found.version, found.address, len(found.files)) == ("1.20.1", "runtime/", 3)
    for changed, said in (
        ({"js": b"no banner"}, "are not those of onnxruntime-web"),
        ({"wasm": b"<html>"}, "are not those of onnxruntime-web"),
        ({"mjs": b""}, "are not those of onnxruntime-web"),
        ({"js": b"ONNX Runtime Web v1.18.0"}, "1.19 or newer"),
    ):
        with pytest.raises(UserError, match=said):
            find_runtime(str(an_npm_package(tmp_path / str(len(list(tmp_path.iterdir()))), **changed)))
    (package / "dist" / "ort-wasm-simd-threaded.mjs").unlink()
    with pytest.raises(UserError, match="mjs is not there"):
        find_runtime(str(package))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--to page", "needs --runtime"),
        ("--to page --runtime FOLDER", "this is no onnxruntime-web"),
        ("--to page --runtime FOLDER/nowhere", "this is no onnxruntime-web"),
        ("--to page --runtime http://example.org/dist/", "only https is followed"),
        ("--to page --runtime https://example.org/dist/ort.min.js", "this is a file; name its folder"),
        ("--to page --runtime https://a.b/;script-src", "not the plain address"),
        ("--to page --runtime https://u:p@a.b/dist/", "not the plain address"),
        ("--to page --runtime https://a.b/dist/?x=1", "not the plain address"),
        ("--to page --runtime https://a.b/ --uint8", "--uint8: a page has its own form"),
        ("--to page --runtime https://a.b/ --mix-classes", "--mix-classes: a page"),
        ("--to page --runtime https://a.b/ --with-discriminator", "--with-discriminator: a page"),
        ("--to page --runtime https://a.b/ --with-optimizers", "page holds no optimizers"),
        ("--to onnx --runtime https://a.b/", "--runtime: onnx is run by programs of others"),
    ],
)
def test_mistakes_are_said_before_anything_is_read(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.replace("FOLDER", str(tmp_path)) for word in words.split()]
    assert main(["export", str(tmp_path / "no such run"), *given]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.labelled: set[str] = set()
        self.controls: set[str] = set()
        self.depth = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        assert not any(name.startswith("on") or name == "style" for name in found), "nothing inline"
        assert tag != "script" or found.get("src")
        self.ids.add(found.get("id") or "")
        if tag == "label":
            self.depth += 1
            self.labelled.add(found.get("for") or "")
        if tag in ("input", "select"):
            self.controls.add(found["id"] or "")
            if self.depth:
                self.labelled.add(found["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "label"


def test_every_control_has_a_label_and_scripts_find_what_they_look_for() -> None:
    page = _Page()
    page.feed((SOURCES / "index.html").read_text())
    assert page.controls <= page.labelled
    script = (SOURCES / "page.js").read_text()
    assert set(re.findall(r'find\("([a-z-]+)"\)', script)) <= page.ids
    assert {path.name for path in SOURCES.iterdir()} == {*COPIED, "index.html"}
    for path in SOURCES.iterdir():
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https://", text), (
            path.name
        )
        assert len(text.splitlines()) <= 300
