"""What several GPUs would make of a model, computed from what one makes; and what two processes make on a CPU.

Usage:
    python benchmarks/scaling.py biggan-128 --rate 757 1070
    python benchmarks/scaling.py biggan-128 --found benchmarks/results/gpu.json
    python benchmarks/scaling.py --measure --out benchmarks/results/processes_cpu.json
    python benchmarks/scaling.py --sharding

The bytes are those of the one message that each update sums over ranks (``Engine._synchronize``); the rest is a formula
over what is measured or assumed: docs/scaling.md. Nothing printed here is measured, but by ``--measure``.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from biggan.layers.normalization import RUNNING_STATISTICS
from biggan.models.architecture import Architecture, architecture
from biggan.models.contract import build_on_meta
from biggan.presets.registry import get_preset
from biggan.training.batches import plan
from biggan.training.configuration import TrainingConfig
from biggan.training.gradients import padded
from biggan.training.planning import plan_memory
from processes import measured, table

PRESETS = {
    "biggan-128": "biggan-pytorch-bs256x8",
    "biggan-deep-128": "biggan-deep-128",
    "biggan-256": "biggan-256",
    "biggan-512": "biggan-512",
}
GPUS = tuple(2**k for k in range(10))
FLOAT32 = 4


@dataclass(frozen=True, kw_only=True)
class Links:
    """Bytes a second in one direction, by data sheets; no link reaches all of that."""

    node: float = 450e9
    """NVLink of an H100 SXM: 900 GB/s in both directions."""
    network: float = 50e9
    """InfiniBand of 400 Gb/s."""
    gpus_a_node: int = 8
    rings: int = 1
    """Rings that pass through network cards of their own; there are as many cards as GPUs in a node."""

    def bandwidth(self, gpus: int) -> float:
        """Return what the slowest link of the ring carries."""
        return self.node if gpus <= self.gpus_a_node else min(self.node, self.rings * self.network)


@functools.cache
def phase_bytes(model: Architecture) -> dict[str, int]:
    """Return the bytes of the message of each phase: gradients, statistics of all networks, and five numbers.

    Those are the loss, three by which the noise scale is found, and the number of images.
    """
    model = dataclasses.replace(model, generator_init="normal", discriminator_init="normal")  # counted, not drawn
    networks = build_on_meta(model)._asdict()
    statistics = sum(count_statistics(network) for network in networks.values())
    return {
        name: FLOAT32 * (sum(padded(parameter.numel()) for parameter in network.parameters()) + statistics + 5)
        for name, network in networks.items()
    }


def count_statistics(network: nn.Module) -> int:
    """Return the running statistics of a network."""
    named = network.named_buffers()
    return sum(value.numel() for name, value in named if name.rpartition(".")[2] in RUNNING_STATISTICS)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is trained on how many GPUs."""

    batch: int
    """Real images of a D step, over all GPUs."""
    steps: int
    """D steps of an iteration."""
    bytes: int
    """Of all messages of an iteration."""
    rate: float
    """Real images a second of one GPU alone."""
    links: Links

    @property
    def images(self) -> int:
        """Real images of an iteration."""
        return self.batch * self.steps

    def communication(self, gpus: int) -> float:
        """Return the seconds of an iteration in which messages travel: a ring, with nothing else going on."""
        return 2 * (gpus - 1) / gpus * self.bytes / self.links.bandwidth(gpus)

    def computation(self, gpus: int) -> float:
        """Return the seconds of an iteration in which a GPU computes."""
        return self.images / (gpus * self.rate)

    def speed(self, gpus: int) -> float:
        """Return real images a second of all."""
        return self.images / (self.computation(gpus) + self.communication(gpus))

    def share(self, gpus: int) -> float:
        """Return the part of the time that is communication; the price of an image is 1 / (1 - share) times one's."""
        return self.communication(gpus) / (self.computation(gpus) + self.communication(gpus))

    def most_gpus(self, share: float) -> int:
        """Return up to how many GPUs communication takes no more than a share; one has an image at least."""
        return max(gpus for gpus in range(1, self.batch + 1) if self.share(gpus) <= share)


def job(config: TrainingConfig, rate: float, batch: int, links: Links) -> Job:
    """Return the job of a preset at a batch."""
    of = phase_bytes(config.model)
    total = config.discriminator_steps * of["discriminator"] + of["generator"]
    return Job(batch=batch, steps=config.discriminator_steps, bytes=total, rate=rate, links=links)


def scaling_table(config: TrainingConfig, rate: float, batch: int) -> str:
    """Return a table over numbers of GPUs."""
    one, eight = (job(config, rate, batch, Links(rings=rings)) for rings in (1, 8))
    lines = [
        "| GPUs | images a GPU and D step | images/s | communication | GPU-hours a million | images/s, 8 rings |",
        "|---|---|---|---|---|---|",
    ]
    for gpus in GPUS:
        if batch // gpus < 1:
            break
        hours = gpus * 1e6 / one.speed(gpus) / 3600
        lines.append(
            f"| {gpus} | {batch / gpus:g} | {one.speed(gpus):,.0f} | {one.share(gpus):.1%} | {hours:.2f} | "
            f"{eight.speed(gpus):,.0f} |"
        )
    return "\n".join(lines)


def limits_table(config: TrainingConfig, rates: list[float], batches: tuple[int, ...] = (512, 2048, 8192)) -> str:
    """Return a table of how many GPUs pay."""
    lines = [
        "| images/s a GPU | batch | GPUs at 10% communication | at 50% | at 50%, 8 rings |",
        "|---|---|---|---|---|",
    ]
    for rate in rates:
        for batch in batches:
            one, eight = (job(config, rate, batch, Links(rings=rings)) for rings in (1, 8))
            most = [one.most_gpus(0.1), one.most_gpus(0.5), eight.most_gpus(0.5)]
            lines.append(f"| {rate:g} | {batch:,} | " + " | ".join(f"{count:,}" for count in most) + " |")
    return "\n".join(lines)


def messages_table() -> str:
    """Return a table of the bytes of all models."""
    lines = ["| model | message of D | message of G | D steps | an iteration |", "|---|---|---|---|---|"]
    for name, preset in PRESETS.items():
        config = get_preset(preset).build()
        of = phase_bytes(config.model)
        total = config.discriminator_steps * of["discriminator"] + of["generator"]
        d, g = (f"{of[network]:,}" for network in ("discriminator", "generator"))
        lines.append(f"| {name} | {d} | {g} | {config.discriminator_steps} | {total:,} |")
    return "\n".join(lines)


def sharding_table(width: int = 192, side: int = 512) -> str:
    """Return a table of what a GPU holds at a width and size beyond the presets', in bfloat16."""
    model = architecture(
        "biggan",
        resolution=(side, side),
        latent_size=128,
        generator_width=width,
        discriminator_width=width,
        generator_init="normal",
        discriminator_init="normal",
    )
    lines = [
        "| images at once | weights and gradients | average | Adam | Adam over 8 GPUs | activations | in all |",
        "|---|---|---|---|---|---|---|",
    ]
    for images in (1, 2, 4, 8):
        config = TrainingConfig(
            model=model, batch=2048, micro_batch=images, device="cuda", precision="bfloat16", discriminator_steps=2
        )
        memory = plan_memory(config, plan(config, 64))
        parts = (
            memory.weights + memory.gradients,
            memory.average,
            memory.adam,
            memory.adam / 8,
            memory.activations,
            memory.total,
        )
        lines.append(f"| {images} | " + " | ".join(f"{part / 2**30:.1f} GiB" for part in parts) + " |")
    return "\n".join(lines)


def rates_found(path: Path, model: str) -> dict[str, float]:
    """Return images a second by precision that ``gpu.py`` wrote."""
    found = json.loads(path.read_text())
    trained = found["models"].get(model, {}).get("ours", {})
    return {name: entry["images_per_second"] for name, entry in trained.items() if "images_per_second" in entry}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=PRESETS, default="biggan-128")
    parser.add_argument("--batch", type=int, help="real images of a D step over all GPUs; the preset's by default")
    parser.add_argument("--rate", type=float, nargs="+", default=[], help="images a second of one GPU, assumed")
    parser.add_argument("--found", type=Path, help="what gpu.py wrote: images a second of one GPU, measured")
    parser.add_argument("--measure", action="store_true", help="measure one and two processes on this CPU instead")
    parser.add_argument("--out", type=Path, help="JSON file for what --measure found")
    parser.add_argument("--sharding", action="store_true", help="print what a GPU holds at ch 192 and 512 px instead")
    options = parser.parse_args()
    if options.measure:
        found = measured()
        if options.out is not None:
            options.out.write_text(json.dumps(found, indent=2) + "\n")
        print(table(found))
        return 0
    if options.sharding:
        print(sharding_table())
        return 0
    config = get_preset(PRESETS[options.model]).build()
    batch = options.batch or config.batch
    print(messages_table())
    rates = [(f"assumed, {rate:g} images/s", rate) for rate in options.rate]
    if options.found is not None:
        rates += [(f"measured, {name}", rate) for name, rate in rates_found(options.found, options.model).items()]
    for title, rate in rates:
        print(f"\n{options.model}, batch {batch:,}, one GPU: {title}\n\n{scaling_table(config, rate, batch)}")
    if rates:
        print(f"\n{limits_table(config, [rate for _, rate in rates])}")
    else:
        print("\nNo speed of one GPU is known: give --found, or assume one with --rate.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
