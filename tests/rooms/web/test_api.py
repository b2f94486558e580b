"""What the API draws, and with what sentence it refuses the rest."""

from __future__ import annotations

import dataclasses
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlencode

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from starlette.testclient import TestClient

from biggan.exploring.files import directions_path, save_directions
from biggan.exploring.finding import find_directions
from biggan.foundation.errors import UserError
from biggan.sampling.picture_record import OneImage, PictureRecord
from biggan.sampling.png_text import png_bytes, read_record
from biggan.sampling.recording import Recorder
from biggan.sampling.recreation import find_generator, recreate
from biggan.sampling.sampler import load
from biggan.web import places
from biggan.web.bounds import Bounds
from biggan.web.models import ModelStore
from biggan.web.places import Places
from tests.rooms.web.served import SECRET, client, folder, run
from tests.snapshots import write


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def api(shown: Path) -> Iterator[TestClient]:
    with client(shown, Bounds(rate=1e6)) as found:
        yield found


def pixels(data: bytes) -> torch.Tensor:
    with Image.open(io.BytesIO(data)) as picture:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def image(api: TestClient, **words: object) -> torch.Tensor:
    answer = api.get(f"/api/image?{urlencode({'model': 'one.safetensors', **words})}")
    assert answer.status_code == 200, answer.text
    return pixels(answer.content).int()


def test_an_image_is_what_sampling_draws(api: TestClient, shown: Path) -> None:
    sampler = load(shown / "one.safetensors", "cpu")
    for words, sample in (
        ({"class": 3, "seed": 5}, sampler.sample([3], [5])),
        ({"class": "golden retriever", "seed": 5, "truncation": 0.5}, sampler.sample([1], [5], 0.5)),
        ({"class": "id:2", "truncation": 0.7, "kind": "scale"}, sampler.sample(["id:2"], [0], 0.7, "scale")),
        ({"class": "7", "seed": 2**63 - 1}, sampler.sample(["7"], [2**63 - 1])),  # a class that is called 7 has index 2
    ):
        assert (image(api, **words) - sample[0].int()).abs().max() <= 1, words


def test_blending_levels_and_directions_do_what_they_say(api: TestClient) -> None:
    plain, other = image(api, **{"class": 3, "seed": 1}), image(api, **{"class": 3, "seed": 2})
    assert torch.equal(plain, image(api, **{"mix": "3:2,4:0", "seed": 1})), "a share of nothing changes nothing"
    assert not torch.equal(plain, image(api, **{"mix": "3:0.5,4:0.5", "seed": 1}))
    everything = image(api, **{"class": 3, "seed": 1, "other": 2, "levels": "1,1,1"})
    assert (everything - other).abs().max() <= 1, "all levels at 1 are the other seed"
    first = image(api, **{"class": 3, "seed": 1, "other": 2, "levels": "1,0,0"})
    assert not torch.equal(first, plain)
    assert not torch.equal(first, other)
    assert not torch.equal(plain, image(api, **{"class": 3, "seed": 1, "directions": "0:4"}))
    back = image(api, **{"class": 3, "seed": 1, "directions": "0:4,0:-4"})
    assert torch.equal(plain, back)


def test_a_saved_picture_is_drawn_again(api: TestClient) -> None:
    asked = {"model": "two.safetensors", "mix": "3:0.25,4:0.75", "seed": "9", "truncation": "0.5", "kind": "clamp"}
    saved = api.get("/api/image", params={**asked, "other": "4", "levels": "0,0.5,1", "directions": "1:-2.5"})
    query = api.post("/api/recreate", content=saved.content).json()["query"]
    assert api.get(f"/api/image?{query}").content == saved.content
    assert saved.headers["x-biggan-query"] == query
    assert "running statistics" in saved.headers["x-biggan-statistics"]


def same_record(data: bytes, record: PictureRecord) -> bool:
    """Return whether an image says the same of itself; threads may differ."""
    return dataclasses.replace(read_record(data), machine=record.machine) == record


def test_a_download_carries_the_record_that_draws_it_again_bitwise(api: TestClient, shown: Path) -> None:
    words = {"model": "one.safetensors", "mix": "4", "seed": "7", "truncation": "0.5", "kind": "scale"}
    for _ in range(3):  # others, drawn before: what they left must not matter
        api.get("/api/image", params={**words, "mix": "1:1,2:1"})
    saved = api.get("/api/image", params={**words, "record": "1"}).content
    record = read_record(saved)
    made, notes = recreate(record, load(shown / "one.safetensors", "cpu"))
    assert not notes
    assert np.array_equal(np.asarray(made), pixels(saved).permute(1, 2, 0).numpy())
    assert (record.image, record.truncation) == (OneImage(label=4, class_name="id:2", seed=7), 0.5)
    assert same_record(api.get("/api/image", params=words).content, record), "whoever saves it, and however"
    query = api.post("/api/recreate", content=saved).json()["query"]
    assert "record" not in query, "the page goes on to draw with others"
    for other in ({"mix": "1:1,2:1"}, {"directions": "0:1"}, {"other": "3", "levels": "0,0,1"}):
        mixed = api.get("/api/image", params={**words, "record": "1", **other}).content
        record = read_record(mixed)
        made, notes = recreate(record, load(shown / "one.safetensors", "cpu"))
        assert record.points is not None
        assert same_record(api.get("/api/image", params={**words, **other}).content, record)
        bare = png_bytes(made, record)
        assert "no seed names this picture" in api.post("/api/recreate", content=bare).json()["error"]
        assert not notes
        assert np.array_equal(np.asarray(made), pixels(mixed).permute(1, 2, 0).numpy())
        assert not np.array_equal(np.asarray(made), pixels(saved).permute(1, 2, 0).numpy())
    assert api.get("/api/image?record=2").status_code == 400


def test_an_address_that_is_none_is_answered_like_all_others(api: TestClient) -> None:
    for path in ("/api/nothing", "/api/image/more"):
        answer = api.get(path)
        assert answer.status_code == 404
        assert "no such page" in answer.json()["error"]
    assert "for example 0.7" in api.get("/api/image?truncation=nan").json()["error"]


def test_a_sampled_picture_is_drawn_again(api: TestClient, shown: Path) -> None:
    sampler = load(shown / "one.safetensors", "cpu")
    made = sampler.sample([4], [7], 0.5)[0]
    png = png_bytes(made, Recorder(sampler, 0.5).image(4, 7))
    image(api)  # so that it is in memory
    query = api.post("/api/recreate", content=png).json()["query"]
    drawn = pixels(api.get(f"/api/image?{query}").content)
    assert (drawn.int() - made.int()).abs().max() <= 1


def test_a_picture_of_a_newer_version_is_told_as_such(api: TestClient, shown: Path) -> None:
    sampler = load(shown / "one.safetensors", "cpu")
    picture = Image.open(io.BytesIO(png_bytes(sampler.sample([4], [7])[0], Recorder(sampler).image(4, 7))))
    text = PngImagePlugin.PngInfo()
    text.add_text("biggan", picture.info["biggan"].replace('"version":1,', '"version":99,'))
    picture.save(file := io.BytesIO(), "PNG", pnginfo=text)
    assert "newer version" in api.post("/api/recreate", content=file.getvalue()).json()["error"]


def test_a_picture_of_another_generator_is_drawn_by_that_or_it_is_said(
    api: TestClient, shown: Path, tmp_path: Path
) -> None:
    def dropped(path: Path) -> dict[str, str]:
        sampler = load(path, "cpu")
        png = png_bytes(sampler.sample([4], [7])[0], Recorder(sampler).image(4, 7))
        found: dict[str, str] = api.post("/api/recreate", content=png).json()
        return found

    image(api, model="two.safetensors")  # so that it is in memory
    assert dropped(shown / "two.safetensors")["query"].startswith("model=two.safetensors&")
    foreign = dropped(write(tmp_path / "other.safetensors", seed=5))
    assert foreign["query"].startswith("mix=4")
    assert "another generator" in foreign["note"]


def test_a_film_goes_from_point_to_point(api: TestClient) -> None:
    words = {"model": "one.safetensors", "points": "1:5,2:6", "frames": 3}
    answer = api.get("/api/film", params=words)
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as gif:
        assert gif.n_frames == 4
    for change, status in (
        ({"points": "1:5"}, 400),
        ({"frames": 601}, 400),
        ({"frames": 600}, 413),
        ({"points": "1"}, 400),
    ):
        assert api.get("/api/film", params={**words, **change}).status_code == status, change


def test_directions_are_no_models_and_a_folder_of_snapshots_shows_them(tmp_path: Path) -> None:
    path = write(tmp_path / "one.safetensors")
    sampler = load(path, "cpu")
    found = find_directions(sampler, "sefa", 3)
    named = dataclasses.replace(found, record=dataclasses.replace(found.record, names=("", "<b>age</b>", "")))
    save_directions(named, directions_path(path, "sefa", "first"))
    with client(tmp_path) as api:
        assert [one["name"] for one in api.get("/api/models").json()["models"]] == ["one.safetensors"]
        about = api.get("/api/model").json()
        assert about["directions"] == ["0", "<b>age</b>", "2"]
        moved = api.get("/api/image", params={"directions": "<b>age</b>:2"})
        assert moved.status_code == 200
        assert parse_qs(moved.headers["x-biggan-query"])["directions"] == ["1:2"]
    record = Recorder(sampler).image(0, 0)
    assert find_generator(record, tmp_path, "cpu").path == path
    other = dataclasses.replace(record, generator="0" * 64)
    with pytest.raises(UserError, match=r"none of the 1 generators here is the one(?!.*could not be read)"):
        find_generator(other, tmp_path, "cpu")


def test_models_and_classes_are_told(api: TestClient) -> None:
    assert [one["name"] for one in api.get("/api/models").json()["models"]] == [
        "first",
        "one.safetensors",
        "second",
        "two.safetensors",
    ]
    about = api.get("/api/model?model=two.safetensors").json()
    assert (about["classes"], about["levels"], about["resolution"]) == (10, 3, [16, 16])
    found = api.get("/api/classes?model=one.safetensors&search=retriev&limit=2").json()["classes"]
    assert found[0] == {"class": 1, "name": "golden retriever"}
    assert len(found) == 2


def test_runs_are_read_while_they_grow(tmp_path: Path) -> None:
    path = run(tmp_path / "run", 1.0)
    with client(tmp_path) as api:
        (about,) = api.get("/api/runs").json()["runs"]
        assert about["images_seen"] == 128
        assert not about["live"]
        assert about["findings"] == [{"images_seen": 128, "findings": {"collapse": "all images are alike"}}]
        assert about["sheets"] == {"64": ["fixed"]}
        assert api.get("/api/sheet?run=run&images=64").content.startswith(b"\x89PNG")
        with (path / "stats.jsonl").open("a") as file:  # the rest of the line that was being written, and a whole one
            file.write('en": 192, "G_loss": 7.0}\n{"images_seen": 256, "G_loss": NaN}\nnot json\n')
        points = api.get("/api/curve?run=run&curve=G_loss").json()["runs"]["run"]
        assert points == [[64.0, 65.0], [128.0, 129.0], [192.0, 7.0]]
        (path / "stats.jsonl").write_text('{"images_seen": 64, "G_loss": 3.0}\n')  # it went back
        assert api.get("/api/curve?run=run&curve=G_loss").json()["runs"]["run"] == [[64.0, 3.0]]


def test_runs_are_shown_side_by_side(api: TestClient) -> None:
    both = api.get("/api/curve.svg?run=first&run=second&curve=G_loss")
    assert both.headers["content-type"].startswith("image/svg+xml")
    assert ">first<" in both.text
    assert ">second<" in both.text
    assert api.get("/api/curve.svg?run=first&curve=nothing").status_code == 404


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("seed=-1", 400, "a whole number from 0"),
        ("seed=9223372036854775808", 400, "a whole number"),
        ("seed=" + "9" * 3000, 400, "a whole number"),
        ("seed=" + "9" * 5000, 414, "characters"),
        ("seed=1e3", 400, "a whole number"),
        ("seed=%D9%A3", 400, "a whole number"),  # an Arabic digit
        ("seed=1&seed=2", 400, "twice"),
        ("sead=1", 400, "nearest: seed"),
        ("truncation=nan", 400, "a number from"),
        ("truncation=-0.5", 400, "a number from"),
        ("truncation=1e9", 400, "a number from"),
        ("truncation=0.5&kind=none", 400, "one of resample"),
        ("class=1&mix=2", 400, "one of them"),
        ("mix=10", 400, "a whole number from 0 to 9"),
        ("class=retriever", 404, "golden retriever"),
        ("mix=1:0,2:0", 400, "above 0"),
        ("mix=" + ",".join("123456789"), 400, "at most 8"),
        ("levels=1,0,0", 400, "other=5"),
        ("other=1&levels=1,0", 400, "3 levels"),
        ("directions=99:1", 400, "from 0"),
        ("directions=0:1000", 400, "from -20 to 20"),
        ("model=../outside/hidden", 404, "nearest"),
        ("model=/etc/passwd", 404, "nearest"),
        ("model=link.safetensors", 404, "nearest"),
        ("model=links/hidden.safetensors", 404, "nearest"),
        ("model=%00", 404, "nearest"),
        ("class=%FF", 400, "UTF-8"),
        ("&".join(f"a{n}=1" for n in range(100)), 400, "query"),
    ],
)
def test_what_cannot_be_drawn_is_said(api: TestClient, query: str, status: int, says: str) -> None:
    answer = api.get(f"/api/image?{query}")
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("query", "drawn", "says"),
    [
        ("", "model=first&mix=0&seed=0", []),
        ("class=great+white&seed=4", "model=first&mix=3&seed=4", []),
        ("model=two.safetensors&seed=-1&mix=2:1,3:1", "model=two.safetensors&mix=2:0.5,3:0.5&seed=0", ["seed '-1'"]),
        ("seed=4&seed=5&sead=6", "model=first&mix=0&seed=4", ["twice", "nearest: seed"]),
        ("class=3&mix=4&truncation=nan&kind=scale", "model=first&mix=0&seed=0", ["one of them", "truncation 'nan'"]),
        ("class=penguin", "model=first&mix=0&seed=0", ["penguin"]),
        ("levels=1,0,0&directions=0:1,99:2&seed=3", "model=first&mix=0&seed=3", ["other=5", "directions '99'"]),
        ("model=gone&seed=5", "model=first&mix=0&seed=0", ["no model 'gone'"]),
    ],
)
def test_of_an_impossible_query_the_possible_part_is_told(
    api: TestClient, query: str, drawn: str, says: list[str]
) -> None:
    answer = api.get(f"/api/possible?{query}").json()
    assert unquote(answer["query"]) == drawn
    assert len(answer["said"]) == len(says)
    assert all(part in sentence for part, sentence in zip(says, answer["said"], strict=True)), answer
    assert api.get(f"/api/image?{answer['query']}").status_code == 200


WORDS = st.sampled_from(["model", "class", "mix", "seed", "truncation", "kind", "other", "levels", "directions", "x"])
VALUES = st.one_of(
    st.text(max_size=12), st.integers().map(str), st.floats().map(str), st.text("0123456789:.,-", max_size=9)
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(WORDS, VALUES), max_size=6))
def test_no_query_is_a_fault_of_the_server(api: TestClient, words: list[tuple[str, str]]) -> None:
    query = urlencode(words, errors="replace")
    status = api.get(f"/api/image?{query}").status_code
    assert status in (200, 400, 404), query
    possible = api.get(f"/api/possible?{query}").json()
    assert api.get(f"/api/image?{possible['query']}").status_code == 200, (query, possible)
    assert bool(possible["said"]) == (status != 200), (query, possible)


@pytest.mark.parametrize(
    "path",
    [
        "/api/sheet?run=first&images=64&sheet=../../../outside/secret",
        "/api/sheet?run=first&images=../../../outside&sheet=fixed",
        "/api/sheet?run=../outside&images=64",
        "/api/%2e%2e/outside/secret.png",
        "/..%2foutside/secret.png",
        "/static/../../outside/secret.png",
        "/file=/etc/passwd",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/upload",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/docs",
        "/openapi.json",
        "/monitoring",
    ],
)
def test_no_path_leads_out(api: TestClient, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code in (400, 404)
    assert SECRET not in answer.content


def test_a_link_that_appears_later_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biggan.web import models

    monkeypatch.setattr(models, "_LOOK", 0.0)
    shown = folder(tmp_path)
    secret = tmp_path / "outside"
    with client(shown) as api:
        sheet = shown / "first" / "samples" / "64" / "fixed.png"
        sheet.unlink()
        sheet.symlink_to(secret / "secret.png")
        assert api.get("/api/sheet?run=first&images=64").status_code == 403
        (shown / "second" / "stats.jsonl").unlink()
        (shown / "second" / "stats.jsonl").symlink_to(shown / "first" / "stats.jsonl")
        assert api.get("/api/curve?run=second&curve=G_loss").status_code in (403, 404)
        newest = shown / "first" / "snapshots" / "9999.safetensors"
        newest.symlink_to(secret / "hidden.safetensors")
        assert api.get("/api/image?model=first").status_code == 403


def test_a_run_whose_log_is_a_link_takes_no_other_run_away(tmp_path: Path) -> None:
    shown = folder(tmp_path)
    (shown / "second" / "metrics.jsonl").symlink_to(tmp_path / "outside" / "secret.png")
    with client(shown) as api:
        answer = api.get("/api/runs")
        assert answer.status_code == 200
        assert [run["run"] for run in answer.json()["runs"]] == ["first"]


def test_what_a_link_in_a_folder_leads_to_is_not_even_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = folder(tmp_path)
    (shown / "given").mkdir()
    (shown / "given" / "model.safetensors").symlink_to(tmp_path / "outside" / "hidden.safetensors")
    (shown / "other").mkdir()
    (shown / "other" / "checkpoints").symlink_to(tmp_path / "outside")
    read: list[Path] = []
    real = places.is_snapshot
    monkeypatch.setattr(places, "is_snapshot", lambda path: read.append(path.resolve()) or real(path))
    with client(shown) as api:
        names = [model["name"] for model in api.get("/api/models").json()["models"]]
        assert "given" not in names
        assert api.get("/api/image?model=other").status_code == 403
    assert read
    assert all(path.is_relative_to(shown.resolve()) for path in read)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 415),
        (b"GIF89a", 415),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, 422),
        (b'{"query": "seed=1"}', 415),
        (b"[" * 100_000, 415),
    ],
)
def test_what_is_no_picture_is_refused(api: TestClient, data: bytes, status: int) -> None:
    assert api.post("/api/recreate", content=data).status_code == status


def test_pictures_of_others_and_too_large_ones_are_refused(shown: Path) -> None:
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    with client(shown, Bounds(upload=1000)) as api:
        assert api.post("/api/recreate", content=file.getvalue()).status_code == 422
        assert api.post("/api/recreate", content=b"\x89PNG" * 300).status_code == 413
        parts = (b"\x89PNG" * 100 for _ in range(4))  # without a length: it is counted as it comes
        assert api.post("/api/recreate", content=parts).status_code == 413
        assert api.get("/api/recreate").status_code == 405


def test_another_host_and_too_many_requests_are_refused(shown: Path) -> None:
    with client(shown, Bounds(rate=0.5)) as api:
        assert api.get("/api/models", headers={"host": "evil.example"}).status_code == 421
        answers = [api.get("/api/models") for _ in range(8)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        assert answers[-1].status_code == 429
        assert answers[-1].headers["retry-after"] == "1"


def test_generators_that_are_kept_are_bounded_by_number_and_weight(shown: Path) -> None:
    found_there = Places([str(shown)], 500)
    names = [name for name in found_there.entries() if name.endswith(".safetensors")]
    assert len(names) == 2
    for bounds, kept in ((Bounds(), 2), (Bounds(models=1), 1), (Bounds(weights=1), 1)):
        store = ModelStore(found_there, "cpu", bounds)
        found = [store.find(name) for name in (*names, *names)]
        assert [loaded.entry.name for loaded in found] == [*names, *names], "all can be drawn from"
        assert (found[0] is found[2]) == (kept == 2)
        assert found[0].weight > 2 * sum(p.nbytes for p in found[0].sampler.generator.parameters())


def test_a_newer_file_is_read_and_one_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biggan.web import models, places

    monkeypatch.setattr(models, "_LOOK", 0.0)
    monkeypatch.setattr(places, "_LOOK", 0.0)
    path = write(tmp_path / "a" / "one.safetensors") if (tmp_path / "a").mkdir() is None else tmp_path
    write(tmp_path / "a" / "other.safetensors")
    with client(tmp_path / "a") as api:
        old = image(api, seed=1)
        write(path, seed=1)
        assert not torch.equal(old, image(api, seed=1))
        path.write_bytes(path.read_bytes()[:-100])
        answer = api.get("/api/image?model=one.safetensors")
        assert (answer.status_code, "damaged" in answer.text) == (500, True)
        path.unlink()
        answer = api.get("/api/image?model=one.safetensors")
        assert (answer.status_code, "no longer there" in answer.text) == (410, True)
        assert api.get("/api/image?model=never.safetensors").status_code == 404
        assert api.get("/api/image?model=other.safetensors").status_code == 200
        shutil.rmtree(tmp_path / "a")
        answer = api.get("/api/image")
        assert answer.status_code == 410
        assert "any more" in answer.json()["error"]
