"""What an iteration asks of a device, counted: arithmetic, bytes of memory, operators. Nothing here is measured.

Usage:
    python benchmarks/roofline.py
    python benchmarks/roofline.py --settings 32px --found benchmarks/results/gpu.json

The training step is run on tensors without data, and every operator that PyTorch dispatches is counted: its products
and convolutions (a multiplication and an addition are two operations), and the bytes of the tensors that it reads and
writes, each once. That is the traffic of a device that keeps nothing between operators and reads nothing twice within
one: what compiling saves is not in it, nor is what a convolution reads again. An operator starts one kernel or more, so
their number is the least number of launches. Adam is counted as the one fused operator that it is: weights, gradients
and two moments read, all but the gradients written.

With ``--found`` (what ``gpu.py`` wrote) the least time by each rate is shown as well: operations over the rate of
products, bytes over that of copies.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.models.contract import build_on_meta
from biggan.presets.registry import get_preset
from biggan.training.configuration import TrainingConfig
from biggan.training.ema import MovingAverage
from biggan.training.resolving import resolve
from biggan.training.state import TrainState
from biggan.training.step import Objective, train_step
from floors import TRAINING
from iterations import make_engine, random_inputs

LARGE = {"biggan-128, batch 256": ("biggan-pytorch-bs256x8", 96, 256, 1)}
"""Of a size for GPUs: preset, width, micro-batch, micro-batches an update."""
FREE = {"detach", "alias", "_unsafe_view", "_reshape_alias", "empty", "empty_like", "empty_strided", "new_empty"}
"""Operators that compute nothing: other ways of looking at memory, and memory that is not filled."""


class Traffic(TorchDispatchMode):
    """Counts operators, and the bytes of what they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.operators, self.bytes = 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run ``function``, and count it unless it only looks at memory in another way."""
        found = function(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
        if outputs and not function.is_view and function.overloadpacket.__name__ not in FREE:
            self.add([*(leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)), *outputs])
        return found

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Count one operator that reads or writes each of ``tensors`` once."""
        self.operators += 1
        self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class CountedAdam(torch.optim.Adam):
    """Fused Adam as far as it can be counted: it has no form without data."""

    def __init__(self, network: nn.Module, traffic: Traffic) -> None:
        super().__init__(network.parameters())
        self.traffic = traffic

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002 - as optimizers are called
        """Count weights, gradients and two moments as read, and all but the gradients as written."""
        weights = [parameter for group in self.param_groups for parameter in group["params"]]
        self.traffic.add([weight for weight in weights for _ in range(7)])


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one iteration asks for."""

    operations: int
    """Of products and convolutions."""
    bytes: int
    operators: int
    images: int
    """Real ones."""

    @property
    def intensity(self) -> float:
        """Operations for each byte."""
        return self.operations / self.bytes


def count(config: TrainingConfig) -> Work:
    """Count one iteration of a configuration."""
    model = dataclasses.replace(config.model, generator_init="normal", discriminator_init="normal")
    config = dataclasses.replace(config, model=model)
    device, traffic = torch.device("meta"), Traffic()
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    networks = {name: net.to(memory_format=layout).train() for name, net in build_on_meta(model)._asdict().items()}
    with device:
        state = TrainState(
            networks=networks,
            optimizers={name: CountedAdam(network, traffic) for name, network in networks.items()},
            average=MovingAverage(config.ema, networks["generator"]),
        )
    inputs, objective = random_inputs(config, device), Objective(loss=ADVERSARIAL_LOSSES[config.loss]())
    with FlopCounterMode(display=False) as products, traffic:
        train_step(state, inputs, objective, make_engine(config, device))
    return Work(
        operations=products.get_total_flops(),
        bytes=traffic.bytes,
        operators=traffic.operators,
        images=config.batch * config.discriminator_steps,
    )


def configurations(names: Sequence[str] = ()) -> dict[str, TrainingConfig]:
    """Return the settings with floors and one for GPUs, or those of some names."""
    sizes = {name: (s.preset, s.width, s.micro_batch, s.parts) for name, s in TRAINING.items()} | LARGE
    found = {}
    for name, (preset, width, micro_batch, parts) in sizes.items():
        whole = get_preset(preset).build()
        model = dataclasses.replace(whole.model, generator_width=width, discriminator_width=width)
        config = dataclasses.replace(
            whole, model=model, batch=micro_batch * parts, micro_batch=micro_batch, precision="float32", compile="off"
        )
        found[name] = resolve(config, None, 1)
    return {name: found[name] for name in names or found}


def table(works: dict[str, Work]) -> str:
    """Return a table of an iteration of each."""
    lines = [
        "| setting | real images | GFLOP | GB of memory traffic | FLOP a byte | operators |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {work.images} | {work.operations / 1e9:,.1f} | {work.bytes / 1e9:,.1f} | {work.intensity:.1f} | "
        f"{work.operators:,} |"
        for name, work in works.items()
    ]
    return "\n".join(lines)


def bounds(works: dict[str, Work], product_rate: float, bandwidth: float) -> str:
    """Return a table of the least seconds by each rate: operations a second, and bytes a second."""
    lines = ["| setting | s by arithmetic | s by memory | images/s at most |", "|---|---|---|---|"]
    for name, work in works.items():
        arithmetic, memory = work.operations / product_rate, work.bytes / bandwidth
        lines.append(f"| {name} | {arithmetic:.3g} | {memory:.3g} | {work.images / max(arithmetic, memory):,.3g} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=[*TRAINING, *LARGE], default=[])
    parser.add_argument("--found", type=Path, help="what gpu.py wrote: the device's rates, measured")
    options = parser.parse_args()
    works = {name: count(config) for name, config in configurations(options.settings).items()}
    print(table(works))
    if options.found is not None:
        rates = json.loads(options.found.read_text())
        for precision, rate in rates["product_rates"].items():
            print(f"\n{precision}:\n{bounds(works, rate['largest'], rates['copy_bandwidth'])}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
