"""Whether looks at the health of a run find what is wrong, and nothing else: digits, healthy and made to go wrong.

Usage:
    python benchmarks/health.py --out benchmarks/results/health_cpu.json
    python benchmarks/health.py --part shown --kinds healthy rates --seeds 10 11
    python benchmarks/health.py --report benchmarks/results/health_cpu.json
    python benchmarks/health.py --report benchmarks/results/health_cpu.json --rejudge  # after a limit was changed

Constants are held to seeds 0 to 9 (--part fixed), with --room telling how far each may be moved, and shown on seeds 10
to 29 (--part shown): 10 or 20 healthy runs, and 5 of each other kind. A run has collapsed
at the first clock from which on the judge's value is below half of its best before, for good. The alarm is in time if
it is not later than a twentieth of the duration after that; one of another kind than expected, and any in a healthy
run, is counted as false. The judge's value is no part of any alarm. What did not collapse is reported as such. Runs
that the results file holds are skipped: the same command goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from biggan.augmentation.ada import PARTS
from biggan.foundation.files import write_json
from biggan.presets.registry import get_preset
from biggan.training.configuration import CheckpointConfig, TrainingConfig
from biggan.training.health import constants
from biggan.training.health.configuration import HealthConfig
from biggan.training.health.judging import findings
from biggan.training.health.records import HealthRecord
from biggan.training.setup import train
from machine import describe

Change = Callable[[TrainingConfig], TrainingConfig]
SEEDS = {"fixed": range(10), "shown": range(10, 30)}
JUDGED = (
    "diversity",
    "diversity_raw",
    "distance",
    "distance_raw",
    "separation",
    "separation_held",
    "memory",
    "label_use",
    "z_use",
    "within_real",
    "leak",
    "average_trace",
    "G_trace",
    "distinct",
    "different",
    "epochs",
)
"""The numbers that alarms are judged by."""
LIMITS = (
    "LOST_VARIETY",
    "FAR",
    "NEAR",
    "BLIND.left",
    "BLIND.admitted",
    "GRAY",
    "APART",
    "KNOWN_BY_HEART.left",
    "KNOWN_BY_HEART.admitted",
    "LIKE_FAKES.left",
    "LIKE_FAKES.admitted",
    "UNHEEDED.left",
    "UNHEEDED.admitted",
    "UNUSED_Z.left",
    "STANDS_STILL.left",
    "FEW_IMAGES",
    "MANY_COPIES",
    "OFTEN",
    "LEAKS.left",
    "LEAKS.admitted",
    "LIKE_REALS",
)
STEPS = (1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 3.0, 5.0)
"""By which a limit is multiplied, or divided."""
OF_EACH = 5
"""Seeds of a kind that is made to go wrong; of healthy runs all."""
IN_TIME = 0.05
HALF = 0.5


def _rates(config: TrainingConfig) -> TrainingConfig:
    g, d = config.generator_adam, config.discriminator_adam
    return dataclasses.replace(
        config,
        generator_adam=dataclasses.replace(g, learning_rate=30 * g.learning_rate),
        discriminator_adam=dataclasses.replace(d, learning_rate=30 * d.learning_rate),
    )


def _no_spectral_norm(config: TrainingConfig) -> TrainingConfig:
    plain = dataclasses.replace(config.model.discriminator_spectral_norm, enabled=False)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, discriminator_spectral_norm=plain))


def _data(**values: Any) -> Change:
    return lambda config: dataclasses.replace(config, data=dataclasses.replace(config.data, **values))


def _turned(config: TrainingConfig) -> TrainingConfig:
    off = "+".join(part for part in PARTS if part != "rotate90")
    return dataclasses.replace(config, terms=(f"ada,p=1,without={off}",))


KINDS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "healthy": (lambda config: config, ()),
    "rates": (_rates, ("collapse", "nothing learnt")),
    "plain D": (_no_spectral_norm, ("collapse",)),
    "one image a class": (_data(fraction=1e-9, holdout=0.0), ("data repeat", "memorisation")),
    "few images": (_data(fraction=0.1, holdout=0.3), ("memorisation",)),
    "shuffled labels": (_data(labels="random", random_classes=10), ("labels ignored",)),
    "quarter turns": (_turned, ("leak of augmentation", "nothing learnt")),
}
"""How a run is made to go wrong, and which alarms are right. With quarter turns some learn nothing at all."""


def configuration(kind: str, seed: int, folder: Path, duration: int) -> TrainingConfig:
    """Return a run: digits with a tenth held out, judged and looked at 40 times."""
    config = get_preset("digits").build()
    every = max(duration // 40, 1)
    log = dataclasses.replace(
        config.log, every=every, samples_every=every, tensorboard=False, sheet_columns=1, interpolation_rows=1
    )
    config = dataclasses.replace(
        config,
        run_dir=str(folder),
        seed=seed,
        duration=duration,
        device="cpu",
        data=dataclasses.replace(config.data, holdout=0.1),
        health=HealthConfig(every=every),
        checkpoint=CheckpointConfig(every=duration, keep_last=1, keep_best=0),
        log=log,
    )
    return KINDS[kind][0](config)


def measured(kind: str, seed: int, duration: int) -> dict[str, Any]:
    """Return what became of one run: values of the judge, alarms, and seconds."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train(configuration(kind, seed, run, duration), "digits")
        lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
        last = max((run / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
        best = json.loads((last / "state.json").read_text())["best"]
    looks = [line for line in lines if "health" in line]
    return {
        "kind": kind,
        "seed": seed,
        "duration": duration,
        "seconds": time.monotonic() - begin,
        "judge": [[clock, value] for _, value, clock in best],
        "alarms": [[line["images_seen"], sorted(line["findings"])] for line in looks if line["findings"]],
        "last": looks[-1]["health"],
        "looks": {
            "images_seen": " ".join(str(line["images_seen"]) for line in looks),
            **{name: " ".join(_word(line["health"].get(name)) for line in looks) for name in JUDGED},
        },
        "torch": torch.__version__,  # runs may come from several machines
    }


def _word(value: float | None) -> str:
    """Return a number with all the digits of float32; a column of them is one line of the results."""
    return "-" if value is None else f"{value:.9g}"


def records(run: Mapping[str, Any]) -> list[HealthRecord]:
    """Return the looks of a run, as they are judged, but without what was found."""
    columns = {name: line.split() for name, line in run["looks"].items()}
    return [
        HealthRecord(
            images_seen=int(clock),
            numbers={name: float(columns[name][i]) for name in JUDGED if columns[name][i] != "-"},
        )
        for i, clock in enumerate(columns["images_seen"])
    ]


def alarms(looks: Sequence[HealthRecord]) -> list[list[Any]]:
    """Return clock and kinds of all alarms that these looks give with the limits as they are now."""
    judged: list[HealthRecord] = []
    for look in looks:
        told = findings([*judged, look])
        judged.append(dataclasses.replace(look, findings=told))
    return [[look.images_seen, sorted({each.kind for each in look.findings})] for look in judged if look.findings]


def found(looks: Sequence[HealthRecord]) -> set[str]:
    """Return the kinds of these alarms."""
    return {kind for _, kinds in alarms(looks) for kind in kinds}


def room(runs: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return how far each limit can be moved, others as they are, before a run is told otherwise than it is.

    Told otherwise is: a false alarm in a healthy run, or no right one where the limits in force give it. Returned are
    the least and the largest of :data:`STEPS` by which the limit can be multiplied.
    """
    looks = [(run["kind"], records(run)) for run in runs if "looks" in run]

    def verdicts() -> list[bool]:
        return [
            bool(found(each)) if kind == "healthy" else bool(found(each) & set(KINDS[kind][1])) for kind, each in looks
        ]

    in_force, moved = verdicts(), {}
    for name in LIMITS:
        value, reach = limit(name), [1.0, 1.0]
        for i, steps in enumerate((STEPS, [1 / step for step in STEPS])):
            for step in steps:
                put(name, value * step)
                if verdicts() != in_force:
                    break
                reach[1 - i] = step
        put(name, value)
        moved[name] = (reach[0], reach[1])
    return moved


def limit(name: str) -> float:
    """Return a limit in force, ``NAME`` or ``NAME.field``."""
    of, _, part = name.partition(".")
    value = getattr(constants, of)
    return float(getattr(value, part) if part else value)


def put(name: str, value: float) -> None:
    """Put another one in force."""
    of, _, part = name.partition(".")
    setattr(constants, of, getattr(constants, of)._replace(**{part: value}) if part else value)


def collapsed_at(judge: Sequence[Sequence[float]]) -> int | None:
    """Return the first clock from which on the value is below half of its best before, for good; None if never."""
    found, best = None, 0.0
    for clock, value in judge:
        best = max(best, value)
        if value >= HALF * best:
            found = None
        elif found is None:
            found = int(clock)
    return found


def told(run: dict[str, Any]) -> dict[str, Any]:
    """Return when a run collapsed, when the right alarm came, whether in time, and which alarms were wrong."""
    right = KINDS[run["kind"]][1]
    collapse = collapsed_at(run["judge"])
    first = next((clock for clock, kinds in run["alarms"] if set(kinds) & set(right)), None)
    wrong = sorted({kind for _, kinds in run["alarms"] for kind in kinds} - set(right))
    in_time = None
    if collapse is not None:
        in_time = first is not None and first <= collapse + IN_TIME * run["duration"]
    return {"collapsed": collapse, "alarm": first, "in_time": in_time, "other_alarms": wrong}


def report(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each kind."""
    lines = []
    for kind, (_, right) in KINDS.items():
        found = [told(run) for run in runs if run["kind"] == kind]
        if not found:
            continue
        collapsed = [one for one in found if one["collapsed"] is not None]
        others = sorted({name for one in found for name in one["other_alarms"]})
        alarmed, wrong = (sum(bool(one[name]) for one in found) for name in ("alarm", "other_alarms"))
        lines.append(
            f"{kind}: {len(found)} runs, {len(collapsed)} collapsed by the judge, "
            f"{sum(one['in_time'] for one in collapsed)} of these with the right alarm in time; {alarmed} with "
            f"{' or '.join(right) or 'none expected'}; other alarms in {wrong}"
            + (f" ({', '.join(others)})" * bool(others))
        )
    return lines


def main() -> None:
    """Measure what is missing, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=tuple(SEEDS), default="shown")
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=list(KINDS))
    parser.add_argument("--seeds", nargs="+", type=int, help="these instead of those of the part")
    parser.add_argument("--duration", type=int, default=60_000, help="images of a run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--out", type=Path, default=Path("health.json"))
    parser.add_argument("--report", type=Path, help="only report what this file holds")
    parser.add_argument("--rejudge", action="store_true", help="tell alarms anew, by looks that are there: no training")
    parser.add_argument("--room", action="store_true", help="how far each limit can be moved, by the looks of all runs")
    options = parser.parse_args()
    path = options.report or options.out
    results = json.loads(path.read_text()) if path.exists() else {"machine": describe(torch.device("cpu")), "runs": []}
    if options.rejudge:  # looks change nothing in training, so limits that change need no new runs
        for run in results["runs"]:
            run["alarms"] = alarms(records(run))
        write_json(path, results)
    left = []
    for kind in [] if options.report else options.kinds:
        of_part = list(SEEDS[options.part])
        for seed in options.seeds or (of_part if kind == "healthy" else of_part[:OF_EACH]):
            key = {"kind": kind, "seed": seed, "duration": options.duration}
            if not any(key.items() <= run.items() for run in results["runs"]):
                left.append((kind, seed, options.duration))
    left.sort(key=lambda each: each[1])  # so that a part of it is a part of every kind
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for ended in as_completed([pool.submit(measured, *each) for each in left]):
            results["runs"].append(ended.result())
            write_json(path, results)
            print("{kind}, seed {seed}: {0}".format(told(ended.result()), **ended.result()), flush=True)
    print("\n".join(report(results["runs"])))
    if options.room:
        for name, (least, most) in room(results["runs"]).items():
            value = limit(name)
            print(f"{name:23} {value:g}: no verdict changes between {value * least:.3g} and {value * most:.3g}")


if __name__ == "__main__":
    main()
