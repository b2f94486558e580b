"""Benchmarks at tiny sizes: that of a GPU on a CPU, with torch, numpy and safetensors alone; floors; pages."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import json
import math
import os
import re
import statistics
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.cli.presets import AUTO_FACTS
from biggan.presets.registry import get_preset
from tests.conftest import tiny_config

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
NEEDED = {"torch", "numpy", "safetensors"}
IMPORTED_AS = {"pillow": "PIL", "scikit-learn": "sklearn"}
INDIRECT = {"pydantic_core", "docstring_parser", "typeguard", "shtab", "rich", "joblib", "matplotlib", "tensorboard"}

WITHOUT = """
import importlib.machinery, runpy, sys

class Without:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            return None  # as if it were not installed
        return importlib.machinery.PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
sys.path.insert(0, {folder!r})
sys.argv = {words!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_what_terms_may_cost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The bounds are what they were set to, what was measured holds them, and one above its own is a failure."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    costs = importlib.import_module("terms")
    bounds = {
        **dict.fromkeys(("lecam,start=1", "d-flood", "g-flood"), 1.02),
        **dict.fromkeys(("diffaugment", "r1,every=16"), 1.10),
        "cr": 1.30,
        "ada,p=0.5": 1.35,
        "bcr": 1.55,
        "health": 1.03,
    }
    assert bounds == costs.BOUNDS
    found = json.loads((BENCHMARKS / "results" / "terms_cpu.json").read_text())["terms"]
    assert found.keys() == costs.BOUNDS.keys()
    for word, bound in costs.BOUNDS.items():
        assert found[word]["ratio"] <= found[word]["bound"] == bound, word
    for ratio, status in ((1.019, 0), (1.031, 1)):
        monkeypatch.setattr(costs, "measured", lambda *_, ratio=ratio: {"ratio": ratio})
        monkeypatch.setattr(costs, "looked_at", lambda _: {"ratio": 1.0})
        monkeypatch.setattr(sys, "argv", ["terms.py", "--device", "cpu"])
        assert costs.main() == status
        assert ("d-flood: 1.031 times plain, at most 1.02: ABOVE" in capsys.readouterr().out) == bool(status)


@pytest.mark.parametrize(("name", "count"), [("health_limits_cpu.json", 38), ("health_cpu.json", 50)])
def test_looks_that_were_measured_give_the_alarms_that_are_told(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whole runs: whoever changes a limit sees here which of them it judges otherwise."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    health = importlib.import_module("health")
    runs = json.loads((BENCHMARKS / "results" / name).read_text())["runs"]
    assert len(runs) == count
    for run in runs:
        alarms = {kind for _, kinds in run["alarms"] for kind in kinds}
        assert health.alarms(health.records(run)) == run["alarms"], (run["kind"], run["seed"])
        assert not alarms or run["kind"] != "healthy"
        assert run["kind"] in ("healthy", "plain D") or alarms & set(health.KINDS[run["kind"]][1])


@pytest.mark.parametrize(
    ("name", "page", "tables"),
    [
        ("pretraining", "training.md", lambda script, found: [script.table(found["rows"])]),
        ("refining", "sampling.md", lambda script, found: [script.table(rows) for rows in found["rows"].values()]),
    ],
)
def test_effects_that_are_told_are_those_that_were_measured(
    name: str, page: str, tables: Callable[[Any, Any], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = importlib.import_module(name)
    found = json.loads((BENCHMARKS / "results" / f"{name}_cpu.json").read_text())
    assert not found["left_out"]
    text = (ROOT / "docs" / page).read_text()
    for lines in tables(script, found):
        assert len(lines) > 4
        for line in lines:
            assert line in text, line


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resident memory as Linux tells it")
def test_memory_is_what_a_dry_run_says() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "memory.py"), "--within", "0.15"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": planned ") >= 3


def not_needed() -> set[str]:
    """Return how everything is imported that the package asks for beyond the three."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[<>=]", line)[0] for line in declared}
    return INDIRECT | {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names - NEEDED}


def without(names: set[str], script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark where ``names`` cannot be imported."""
    program = WITHOUT.format(names=names, folder=str(BENCHMARKS), words=[str(BENCHMARKS / script), *words])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


def test_the_whole_way_on_a_cpu_with_torch_numpy_and_safetensors_alone(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    words = "biggan-128 --device cpu --tiny --precision float32 --no-compile --out".split()
    done = without(not_needed(), "gpu.py", *words, str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert not found["left_out"]
    model = found["models"]["biggan-128"]
    trained = model["ours"]["float32"]
    assert sorted(trained["micro_batches"]) == ["1", "2", "4"]
    speeds = {int(size): entry["images_per_second"] for size, entry in trained["micro_batches"].items()}
    assert trained["images_per_second"] == speeds[trained["micro_batch"]] == max(speeds.values())
    assert all(entry["finite"] for entry in trained["micro_batches"].values())
    assert all(entry["in_a_row"]["images_per_second"] > 0 for entry in trained["micro_batches"].values())
    both = trained["discriminator_seconds"] + trained["generator_seconds"]
    assert both == pytest.approx(4 / trained["images_per_second"])
    rate = found["product_rates"]["float32"]["largest"]
    assert trained["share_of_product_rate"] == pytest.approx(
        trained["images_per_second"] * model["operations_per_image"] / rate
    )
    where = trained["where_time_goes"]
    assert where["arithmetic_seconds"] > 0
    assert where["memory_seconds"] > 0
    assert where["launches"] >= sum(kind["launches"] for kind in where["longest"]) > 0
    assert model["sampling"]["float32"]["1"]["images_per_second"] > 0
    assert found["copy_bandwidth"] > 0


def test_nobody_measures_while_another_warms_up_but_may_while_it_compiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    machine, iterations = importlib.import_module("machine"), importlib.import_module("iterations")
    monkeypatch.setattr(machine.Turns, "path", tmp_path / "turns")

    def free() -> bool:
        with (tmp_path / "turns").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    found = []
    compiled = iterations.PatientCompiler(lambda graph, _: found.append(free()) or graph)(torch.nn.Linear(2, 2))

    def action() -> None:
        found.append(free())
        compiled(torch.ones(1, 2))

    patience = machine.Patience(warm_up=2, least=1, most=1)
    with torch.no_grad():
        machine.timed(action, torch.device("cpu"), patience)
    assert found == [False, True, False, False, False], "warming up, compiling, warming up, after others, measuring"
    assert free()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    done = without(set(), "gpu.py", "biggan-128")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "PyTorch sees no CUDA device, so there is nothing to measure.\n"


def test_kernels_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from kernels import is_arithmetic

    for name in (
        "sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize256x128x64",
        "void cutlass__5x_cudnn::Kernel<cutlass_tensorop_bf16_s16816fprop_optimized_bf16_128x128_32x5_nhwc_align8>",
        "cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_26_64x64x64_1x4x1_cga1x1x1_kernel0_0",
        "aten::mm",
        "aten::mkldnn_convolution",
    ):
        assert is_arithmetic(name), name
    for name in (
        "void at::native::(anonymous namespace)::avg_pool2d_out_cuda_frame_nhwc<c10::BFloat16, float>(int)",
        "triton_poi_fused__to_copy_convolution_relu_3",
        "triton_red_fused_convolution_backward_sum_7",
        "Memcpy DtoD (Device -> Device)",
        "void at::native::vectorized_elementwise_kernel<8, at::native::CUDAFunctor_add<c10::BFloat16>>",
        "aten::addcmul",
        "cudnn::ops::nhwcToNchwKernel",
        "void at::native::batch_norm_collect_statistics_channels_last_kernel<at::native::Var>",
    ):
        assert not is_arithmetic(name), name


def test_what_does_not_fit_is_noted_and_what_is_over_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from bench import Bench, configuration
    from machine import BRIEF
    from report import Report

    def too_much() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    report = Report(tmp_path / "found.json", seconds=60)
    config = configuration("biggan-128", 4, tiny=True)
    bench = Bench(report, "biggan-128", config, torch.device("cpu"), BRIEF)
    bench._try(4, lambda: too_much, "ours", "bfloat16")
    with pytest.raises(RuntimeError, match="no micro-batch"):
        bench._choose("ours", "bfloat16")
    bench._try(2, lambda: lambda: None, "ours", "bfloat16")
    assert bench._choose("ours", "bfloat16") == 2
    with report.part("a part that fails"):
        raise ValueError("so")
    report.seconds = 0.0
    with report.part("a late part") as there_is_time:
        assert not there_is_time
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["models"]["biggan-128"]["ours"]["bfloat16"]["micro_batches"]["4"] == {"error": "out of memory"}
    assert found["left_out"] == ["a part that fails", "a late part"]
    assert "failed (ValueError: so)" in capsys.readouterr().out


def test_what_auto_is_judged_by_and_where_it_trains_is_known_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders without classes were trained on for minutes before the judge refused; two of one name shared a run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    auto = importlib.import_module("auto")
    pixels = Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8))
    for place in ("flat", "one/a", "two/a", "two/b", "beside/two/a", "beside/two/b"):
        (tmp_path / place).mkdir(parents=True)
        pixels.save(tmp_path / place / "0.png")
    judged = {name: auto.features_for(str(tmp_path / name), 8) for name in ("flat", "one", "two")}
    assert judged == {"flat": "random", "one": "random", "two": "classifier"}
    assert auto.features_for("digits", 16) == "classifier"

    options = argparse.Namespace(runs=tmp_path / "runs", fraction=1.0, minutes=10.0)
    assert auto.called("digits", "digits") == "digits"
    assert auto.called("shapes", str(tmp_path / "shapes_32")) == "shapes_32"
    assert auto.run_directory("auto", "shapes_32", 2, options).name == "auto_shapes_32_1_10_2"
    names = {auto.called(str(tmp_path / name), str(tmp_path / name)) for name in ("two", "beside/two")}
    assert len(names) == 2
    assert all(re.fullmatch("two-[0-9a-f]{8}", name) for name in names)
    monkeypatch.chdir(tmp_path)
    assert auto.called("two/", "two/") in names, "however the path is written"

    nowhere = str(tmp_path / "nowhere")
    words = ["auto", "--data", str(tmp_path / "flat"), nowhere, "--runs", str(options.runs)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        auto.main()
    assert stopped.value.code == 2
    assert f"--data {nowhere}: there is nothing at this path" in capsys.readouterr().err
    old = tmp_path / "old.json"
    settings = {"minutes": 10.0, "resolution": 32, "fraction": 1.0, "threads": 2}
    rows = {str(tmp_path / "flat"): {"auto": {"0": {"frechet": 1.0}}}}
    old.write_text(json.dumps({"settings": settings, "rows": rows}))
    monkeypatch.setattr(sys, "argv", [*words[:3], *words[4:], "--out", str(old)])
    with pytest.raises(SystemExit):
        auto.main()
    assert "was judged by features 'classifier', and what lies there now needs 'random'" in capsys.readouterr().err
    assert not list(options.runs.iterdir()), "nothing was trained"


H200, RESIZED, LAST = "gpu_h200_between.json", "gpu_h200_resized.json", "gpu_h200.json"
H100, BESIDE = "gpu_h100.json", "gpu_h100_beside_theirs.json"
ONE_GPU = [  # first cell, file and way; the file in which theirs was measured, and how the second cell names its own
    ("plain, at first", "gpu_h200_before.json", ("ours",), "gpu_h200_before.json"),
    ("plain, then", H200, ("ours",), H200),
    ("compiled by phase, then", H200, ("compiled", "phase"), H200),
    ("plain, resized by views", RESIZED, ("ours",), RESIZED),
    ("compiled by phase, resized by views", RESIZED, ("compiled", "phase"), RESIZED),
    ("plain, at last", LAST, ("ours",), RESIZED),
    ("compiled by phase, at last", LAST, ("compiled", "phase"), RESIZED),
    ("compiled by forward, as by default, at last", LAST, ("compiled", "forward"), RESIZED),
    ("with CUDA graphs by phase, at last", LAST, ("CUDA graphs", "phase"), RESIZED),
    ("compiled by forward, a fifth visit", "gpu_h200_values_before.json", ("compiled", "forward"), None),
    ("the same, gamma weighs the values", "gpu_h200_values.json", ("compiled", "forward"), None),
    ("plain", BESIDE, ("ours",), BESIDE),
    ("plain, again", H100, ("ours",), BESIDE),
    ("compiled by forward, as by default", H100, ("compiled", "forward"), BESIDE),
]
WHERE = [
    ("plain, then", H200, ("ours",)),
    ("plain, resized by views", RESIZED, ("ours",)),
    ("compiled by phase, then", H200, ("compiled", "phase")),
    ("compiled by phase, resized by views", RESIZED, ("compiled", "phase")),
    ("compiled by phase, at last", LAST, ("compiled", "phase")),
    ("compiled by forward, at last", LAST, ("compiled", "forward")),
    ("compiled by forward, gamma weighs the values", "gpu_h200_values.json", ("compiled", "forward")),
    ("H100, plain", H100, ("ours",)),
    ("H100, compiled by forward", H100, ("compiled", "forward")),
]
MIB, GIB = 2**20, 2**30


def model_of(file: str, name: str = "biggan-128") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BENCHMARKS / "results" / file).read_text())["models"][name]
    return found


def test_the_page_on_performance_says_what_one_gpu_did() -> None:
    page = (ROOT / "docs" / "performance.md").read_text().replace("**", "")
    for title, file, way, beside in ONE_GPU:
        entry = functools.reduce(dict.__getitem__, [*way, "bfloat16", "micro_batches", "256"], model_of(file))
        speed, peak = entry["images_per_second"], f"{entry['peak_bytes'] / GIB:.1f} GiB"
        ratio = "" if beside is None else f"{speed / model_of(beside)['theirs']['images_per_second']:.2f} "
        where = "the same" if (title, file) == ("plain", BESIDE) else f"`{file}`"
        assert f"| {title} | {where} | {speed:,.0f} | {ratio}| {peak} |" in page, title
    for title, file, way in WHERE:
        where = functools.reduce(dict.__getitem__, [*way, "bfloat16", "where_time_goes"], model_of(file))
        times = [f"{1000 * where[f'{kind}_seconds']:.0f} ms" for kind in ("arithmetic", "memory", "idle")]
        assert f"| {title} | {' | '.join(times)} | {where['launches']:,} |" in page, title
    for file, name, words in (
        ("gpu_h200_256.json", "biggan-256", "{speed:.0f} images/s, {peak:.1f} GiB, {rate:.0f} TFLOP/s"),
        ("gpu_h200_512.json", "biggan-512", "{speed:.0f} images/s, {peak:.1f} GiB, {rate:.0f} TFLOP/s"),
        ("gpu_h100_deep.json", "biggan-deep-128", "| {speed:.0f} | | {peak:.1f} GiB |"),
    ):
        model = model_of(file, name)
        ours = model["ours"]["bfloat16"]
        rate = ours["images_per_second"] * model["operations_per_image"] / 1e12
        said = words.format(speed=ours["images_per_second"], peak=ours["peak_bytes"] / GIB, rate=rate)
        assert said in page, said


def test_the_page_on_performance_says_what_a_cpu_did() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    floors = json.loads((BENCHMARKS / "results" / "training_step_floors_cpu.json").read_text())["presets"]
    for name, entry in floors.items():
        for way, ratio in entry["ratios"].items():
            assert len(entry[way]["seconds"]) == len(entry["theirs"]["seconds"]) == 7
            ours, theirs = (f"{entry[one]['peak_bytes'] / MIB:,.0f}" for one in (way, "theirs"))
            assert f"| {ratio:.2f} | {ours} MiB, {theirs} |" in page, (name, way)
    entry = json.loads((BENCHMARKS / "results" / "training_step_128px_cpu.json").read_text())["presets"]
    (entry,) = entry.values()
    for title, way in (
        ("BigGAN-PyTorch", "theirs"),
        ("as it is by default", "ours"),
        ("by phase", "phase"),
        ("compiled", "compiled"),
    ):
        ratio = "" if way == "theirs" else f"{entry['ratios'][way]:.2f} "
        seconds, peak = statistics.median(entry[way]["seconds"]), entry[way]["peak_bytes"] / MIB
        assert f"| {title} | {seconds:.2f} | {ratio}| {peak:,.0f} MiB |" in page, way
    for name, file in (("sampling_cpu.json", "CPU"), ("sampling_h200.json", "H200")):
        for setting in json.loads((BENCHMARKS / "results" / name).read_text())["settings"].values():
            verdict = setting["floors"][0]
            assert verdict["held"]
            assert f"{verdict['ratio']:.2f}" in page, (file, verdict)


def test_the_page_on_scaling_says_what_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scaling

    page = (ROOT / "docs" / "scaling.md").read_text()
    config = get_preset("biggan-pytorch-bs256x8").build()
    for rate in (757.0, 1070.0):
        assert scaling.scaling_table(config, rate, config.batch) in page
    assert scaling.limits_table(config, [757.0, 1070.0]) in page
    measured = json.loads((BENCHMARKS / "results" / "processes_cpu.json").read_text())
    assert scaling.table(measured) in page


@pytest.mark.nightly
def test_the_page_on_scaling_counts_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scaling

    page = (ROOT / "docs" / "scaling.md").read_text()
    assert scaling.messages_table() in page
    assert scaling.sharding_table() in page


def test_more_gpus_never_slow_down_and_cost_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scaling

    links = scaling.Links()
    job = scaling.Job(batch=2048, steps=2, bytes=10**9, rate=500.0, links=links)
    assert job.speed(1) == 500.0
    assert job.share(1) == 0.0
    assert job.communication(8) == pytest.approx(2 * 7 / 8 * 1e9 / 450e9)
    assert job.communication(16) == pytest.approx(2 * 15 / 16 * 1e9 / 50e9)
    assert all(job.speed(2 * n) > job.speed(n) for n in (1, 2, 4, 16, 64))
    most = job.most_gpus(0.5)
    assert job.share(most) <= 0.5 < job.share(most + 1)
    assert most == pytest.approx(4096 * 50e9 / (2 * 500 * 1e9), abs=2)
    found = {
        "models": {"biggan-128": {"ours": {"bfloat16": {"images_per_second": 9.0}, "tf32": {"micro_batches": {}}}}}
    }
    (tmp_path / "found.json").write_text(json.dumps(found))
    assert scaling.rates_found(tmp_path / "found.json", "biggan-128") == {"bfloat16": 9.0}


OTHER = {
    "BigGAN": """
        import torch

        class Generator(torch.nn.Module):
            def __init__(self, **options):
                super().__init__()
                self.side = options["resolution"]
                self.shared = torch.nn.Embedding(options["n_classes"], 1)
                self.linear = torch.nn.LazyLinear(3 * self.side**2)

            def forward(self, z, y):
                return torch.tanh(self.linear(torch.cat([z, y], 1))).unflatten(1, (3, self.side, self.side))

        class Discriminator(torch.nn.Module):
            def __init__(self, **options):
                super().__init__()
                self.linear = torch.nn.Linear(3 * options["resolution"] ** 2, 1)

        def G_D(G, D):
            return G, D
        """,
    "utils": "def ema(*_): return None",
    "train_fns": """
        def GAN_training_function(G, D, GD, z, y, ema, state, config):
            def step(images, labels):
                assert len(images) == config["batch_size"] * config["num_D_accumulations"] * config["num_D_steps"]
                D.linear(images.flatten(1)).mean().backward()
            return step
        """,
}
"""Another implementation with the interface of BigGAN-PyTorch, as little of it as a benchmark calls."""


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    folder, before, threads = tmp_path / "other", set(sys.modules), torch.get_num_threads()
    folder.mkdir()
    for name, text in OTHER.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    yield folder
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        if name in OTHER:
            del sys.modules[name]


SMALL = "--width 4 --pairs 2 --warm-up 0 --device cpu".split()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("training_step", "--presets biggan-pytorch-cifar10 --micro-batch 2 --parts 2 --no-memory"),
        ("sampling", "--preset biggan-pytorch-cifar10 --batch 2"),
    ],
)
def test_a_ratio_below_its_floor_fails_and_one_above_does_not(
    program: str, words: str, other: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(program)
    out = other.parent / "results" / "found.json"
    for floor, status, said in (("0", 0, "floor 0.00: held"), ("1000", 1, "floor 1000.00: BELOW")):
        command = [program, "--against", str(other), *words.split(), *SMALL, "--floor", floor, "--out", str(out)]
        monkeypatch.setattr(sys, "argv", command)
        assert module.main() == status
        assert said in capsys.readouterr().out
        (entry,) = (json.loads(out.read_text()).get("presets") or json.loads(out.read_text())["settings"]).values()
        (verdict,) = entry["floors"]
        ways = [entry[title]["seconds"] for title in ("theirs", "ours" if program == "training_step" else "plain")]
        assert [len(seconds) for seconds in ways] == [2, 2]
        assert verdict["ratio"] == pytest.approx(statistics.median(ways[0]) / statistics.median(ways[1]))
        assert (verdict["kind"], verdict["floor"], verdict["held"]) == ("speed", float(floor), status == 0)


def test_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import floors

    assert floors.speed("x", ours=[1.0, 2.0, 9.0], theirs=[2.6, 0.1, 2.7], floor=1.3).held
    assert not floors.speed("x", ours=[1.0, 2.0, 9.0], theirs=[2.5, 0.1, 2.7], floor=1.3).held
    assert floors.speed("x", ours=[9.0], theirs=[1.0], floor=None).held
    assert not floors.speed("x", ours=[1.0], theirs=[math.nan], floor=0.0).held
    assert floors.memory("x", ours=100, theirs=100, judged=True).held
    assert not floors.memory("x", ours=101, theirs=100, judged=True).held
    assert floors.memory("x", ours=101, theirs=100, judged=False).held


def test_every_setting_with_a_floor_can_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import floors
    import training_step
    from iterations import are_theirs, options_of, parts_of

    options = argparse.Namespace(precision="float32")
    for name, setting in floors.TRAINING.items():
        config = training_step.configuration(name, setting, options, cpu=True)
        assert are_theirs(config.model)
        assert (config.model.generator_width, config.micro_batch) == (setting.width, setting.micro_batch)
        assert parts_of(config) == setting.parts == options_of(config)["num_D_accumulations"]
        assert setting.floors.keys() <= training_step.WAYS.keys()
        for way in setting.floors:
            how = dataclasses.replace(config, **training_step.WAYS[way])
            assert (how.compile == "on") == way.startswith("compiled")
            assert (how.spectral_norm == "phase") == way.endswith("phase")


def test_traffic_is_what_operators_read_and_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import roofline

    with torch.device("meta"):
        x, y = torch.empty(6, 4), torch.empty(4, 5, dtype=torch.bfloat16)
    with roofline.Traffic() as traffic:
        x.view(4, 6).t().detach().relu()
        assert (traffic.operators, traffic.bytes) == (1, 2 * 4 * 24), "views are free, and a relu reads and writes"
        x @ y.float()
    assert traffic.operators == 3
    assert traffic.bytes == 2 * 4 * 24 + (2 + 4) * 20 + 4 * (24 + 20 + 30)


def test_work_of_an_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations are those that the GPU's benchmark counts; four micro-batches are four times as many."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import roofline
    from iterations import floating_point_operations

    config = dataclasses.replace(tiny_config(), precision="float32", batch=4, micro_batch=4, spectral_norm="phase")
    once, four = (roofline.count(dataclasses.replace(config, batch=4 * parts)) for parts in (1, 4))
    assert once.images == 4
    assert once.operations == pytest.approx(4 * floating_point_operations(config, images=4), rel=0.05)
    assert four.operations == pytest.approx(4 * once.operations, rel=0.05)
    assert once.bytes < four.bytes < 4 * once.bytes, "weights are divided and stepped once"
    assert once.operators < four.operators < 4 * once.operators


def test_peak_memory_is_that_of_the_process_that_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was that of the program that started it, once that one held more."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import machine
    import training_step

    held = np.ones(50 * 2**20)  # 400 MiB
    here = machine.most_resident()
    nothing = functools.partial(functools.partial, int)
    assert held.nbytes < here
    assert 50 * 2**20 < training_step.peak_memory(nothing, torch.device("cpu")) < here - held.nbytes / 2


@pytest.mark.nightly
def test_the_table_of_work_says_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import roofline

    page = (ROOT / "docs" / "performance.md").read_text()
    version = ".".join(torch.__version__.split(".")[:2])
    if f"counted with torch {version}" not in page:
        pytest.skip(f"operators are dispatched by the version; the page counts those of another than torch {version}")
    works = {name: roofline.count(config) for name, config in roofline.configurations().items()}
    assert roofline.table(works) in page


def test_what_two_cores_did_is_what_was_measured() -> None:
    rows = json.loads((BENCHMARKS / "results" / "auto_two_cores_cpu.json").read_text())["rows"]["photographs"]
    auto, digits = (rows[name]["0"]["frechet"] for name in ("auto", "digits"))
    assert auto < digits
    page = " ".join((ROOT / "docs" / "auto.md").read_text().replace("*", "").split())
    assert f"the photographs came to {auto:.3f} by `auto`" in page
    assert f"and to {digits:.2f} by the digits preset" in page


def test_what_200_gray_images_became_is_what_was_measured() -> None:
    found = json.loads((BENCHMARKS / "results" / "auto_few_gray_cpu.json").read_text())["rows"]["digits"]["auto"]["0"]
    page = " ".join((ROOT / "docs" / "auto.md").read_text().split())
    assert f"came to {found['frechet']:.2f} beside all 1,797; none of {found['looks']} looks found a collapse" in page
    assert found["collapses"] == 0


def test_what_is_said_of_mirroring_is_what_was_measured() -> None:
    sets = json.loads((BENCHMARKS / "results" / "mirroring_cpu.json").read_text())["sets"]
    page = " ".join((ROOT / "docs" / "auto.md").read_text().split())
    mirrored = {name: found["mirrored"] for name, found in sets.items() if found["writing"] and found["mirrored"]}
    assert mirrored == {"40 letters, 160 shapes of six colours": 5, "25 words, 1,200 shapes of six colours": 4}
    assert "25 words beside 1,200 shapes still might in four of six drawings, and 40 single letters" in page
    others = [found for found in sets.values() if not found["writing"]]
    may, all_of_them = (sum(found[key] for found in others) for key in ("mirrored", "draws"))
    assert f"might be mirrored in {may} of {all_of_them} drawings" in page


def test_writing_is_drawn_anew_for_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set has as many images as it says, no two alike, and is judged as `auto` judges."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import mirroring

    drawn = (mirroring.WITH_WRITING | mirroring.WITHOUT)["40 words, 160 shapes of six colours"](
        np.random.default_rng(0)
    )
    assert drawn.images.shape[1:] == (3, mirroring.FINE, mirroring.FINE)
    assert np.bincount(drawn.labels).tolist() == [26] * 6 + [40]
    assert len(np.unique(drawn.images.reshape(len(drawn.images), -1), axis=0)) == len(drawn.images)
    assert not mirroring.judge(drawn).allowed


def test_the_table_of_auto_is_what_was_measured() -> None:
    """Means and deviations of three seeds, to the digits written; `auto` is not above the best of the others."""
    rows = json.loads((BENCHMARKS / "results" / "auto_cpu.json").read_text())["rows"]
    lines = (ROOT / "docs" / "auto.md").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.lstrip().startswith("| data | `auto`"))
    names = ("auto", "digits", "mmgen-biggan-cifar10")
    for line, data in zip(lines[first + 2 :], ("digits", "shapes", "photographs"), strict=False):
        cells = [cell.replace("*", "").split("(")[0].strip() for cell in line.strip().strip("|").split("|")]
        assert data in cells[0]
        means = {}
        for name, cell in zip(names, cells[1:4], strict=True):
            values = [seed["frechet"] for seed in rows[data][name].values()]
            assert len(values) == 3
            means[name] = statistics.mean(values)
            for written, found in zip(cell.split(" ± "), (means[name], statistics.stdev(values)), strict=True):
                assert float(written) == pytest.approx(found, abs=0.51 * 10 ** -len(written.partition(".")[2]))
        assert means["auto"] <= min(means.values())
        assert all(
            f"{means[name]:.2g}" in AUTO_FACTS["figure"] or f"{means[name]:.3g}" in AUTO_FACTS["figure"]
            for name in names[:2]
        )
