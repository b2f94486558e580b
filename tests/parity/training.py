"""Training sequences of BigGAN-PyTorch, by the package's own step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from biggan.foundation.courses import constant
from biggan.losses.adversarial import Hinge
from biggan.losses.orthogonal import DiscriminatorOrthogonal, Orthogonal
from biggan.training.configuration import AdamConfig, MovingAverageConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.optimizers import make_adam
from biggan.training.state import TrainState
from biggan.training.step import (
    DiscriminatorBatch,
    GeneratorBatch,
    Objective,
    StepInputs,
    judge_separately,
    judge_together,
    train_step,
)
from tests.parity.case import Case
from tests.parity.comparison import Comparison, recorded_noise, sequence_tolerance, tolerance
from tests.parity.pair import CPU, Pair


def run_training(case: Case, comparison: Comparison) -> None:
    """Whole iterations by the package's own step, in float32 and in float64."""
    for dtype in (torch.float32, torch.float64):
        train(case, comparison, dtype)
    compare_orthogonal(case, comparison)


def train(case: Case, comparison: Comparison, dtype: torch.dtype) -> None:
    """Run the sequence in one precision and compare everything that belongs to it."""
    narrow = dtype == torch.float32
    word = "32" if narrow else "64"
    pair, settings, config = Pair(case, dtype), case.settings["training"], case.settings["config"]
    steps, batch = settings["num_D_steps"], settings["batch_size_D"]
    accumulation = {
        "discriminator": settings["num_D_accumulations"],
        "generator": settings["num_G_accumulations"],
    }
    per_step = batch * accumulation["discriminator"]
    engine = Engine(
        device=CPU,
        accumulation=accumulation,
        terms={
            key: kind(weight=constant(settings[key]), half=True)
            for key, kind in (("G_ortho", Orthogonal), ("D_ortho", DiscriminatorOrthogonal))
        },
    )
    state = TrainState(
        networks={"generator": pair.G, "discriminator": pair.D},
        optimizers={
            name: make_adam(
                network,
                AdamConfig(
                    learning_rate=config[f"{short}_lr"],
                    beta1=config[f"{short}_B1"],
                    beta2=config[f"{short}_B2"],
                    eps=config["adam_eps"],
                ),
            )
            for name, network, short in (("generator", pair.G, "G"), ("discriminator", pair.D, "D"))
        },
        average=MovingAverage(
            MovingAverageConfig(
                enabled=settings["ema"],
                decay=settings["ema_decay"],
                start=settings["ema_start"] * steps * per_step,
            ),
            pair.G,
            all_buffers=True,
        ),
    )
    pair.G.train()
    pair.D.train()
    objective = Objective(loss=Hinge(), judge=judge_separately if settings["split_D"] else judge_together)
    scores: list[Tensor] = []
    hook = pair.D.head.register_forward_hook(lambda _, __, verdict: scores.append(verdict.score.detach().clone()))
    draws = Draws(case, dtype)
    iterations = settings["iterations"]
    for iteration in range(iterations):
        inputs = StepInputs(
            discriminator=tuple(
                draws.discriminator(iteration, step, per_step, batch, accumulation["discriminator"])
                for step in range(steps)
            ),
            generator=draws.generator(accumulation["generator"]),
            batch=per_step,
            generator_batch=settings["batch_size_G"] * accumulation["generator"],
            images_seen=(iteration + 1) * steps * per_step,
        )
        losses = train_step(state, inputs, objective, engine)
        compare_losses(case, comparison, iteration, losses, accumulation, narrow)
    hook.remove()
    engine.guard.check()
    if not narrow:
        compare_trace(case, comparison, scores, settings, steps, accumulation, batch)
    compare_states(case, comparison, pair, state, word, narrow)


class Draws:
    """Hands out the case's draws in order of use."""

    def __init__(self, case: Case, dtype: torch.dtype) -> None:
        self.z, self.y = case.arrays["in/z"].to(dtype), case.arrays["in/y"]
        self.x, self.dy = case.arrays["in/x_uint8"], case.arrays["in/dy"]
        self.next = 0

    def _take(self, count: int) -> tuple[Tensor, Tensor]:
        rows = slice(self.next, self.next + count)
        self.next += count
        return self.z[rows], self.y[rows]

    def discriminator(self, iteration: int, step: int, per_step: int, batch: int, count: int) -> DiscriminatorBatch:
        """D uses the first ``batch`` rows of each draw, and consecutive images."""
        z, y = self._take(count)
        rows = slice(step * per_step, (step + 1) * per_step)
        return DiscriminatorBatch(
            self.x[iteration][rows],
            self.dy[iteration][rows],
            z[:, :batch].flatten(0, 1),
            y[:, :batch].flatten(),
        )

    def generator(self, count: int) -> GeneratorBatch:
        """G uses whole draws."""
        z, y = self._take(count)
        return GeneratorBatch(z.flatten(0, 1), y.flatten())


def compare_losses(
    case: Case,
    comparison: Comparison,
    iteration: int,
    losses: Mapping[str, Tensor],
    accumulation: Mapping[str, int],
    narrow: bool,
) -> None:
    """The reference reports the last micro-batch: D's losses whole, G's divided by the number of accumulations."""
    ours = {
        "D_loss_real": float(losses["D_loss_real"][-1]),
        "D_loss_fake": float(losses["D_loss_fake"][-1]),
        "G_loss": float(losses["G_loss"][-1]) / accumulation["generator"],
    }
    word = "losses_float32" if narrow else "losses_float64"
    for name in case.settings[word][iteration]:
        limit = sequence_tolerance(tolerance(None, "D"), "losses") if narrow else tolerance(None, "float64")
        comparison.number((word, iteration, name), ours[name], limit, wide=not narrow)


def compare_trace(
    case: Case,
    comparison: Comparison,
    scores: list[Tensor],
    settings: Mapping[str, Any],
    steps: int,
    accumulation: Mapping[str, int],
    batch: int,
) -> None:
    """Compare the scores of every forward of D."""
    passes = 2 if settings["split_D"] else 1
    of_d, of_g = steps * accumulation["discriminator"] * passes, accumulation["generator"]
    fake, real, generated = [], [], []
    for start in range(0, len(scores), of_d + of_g):
        block = scores[start : start + of_d]
        if passes == 2:
            fake += block[0::2]
            real += block[1::2]
        else:
            fake += [s[:batch] for s in block]
            real += [s[batch:] for s in block]
        generated += scores[start + of_d : start + of_d + of_g]
    limit = tolerance(None, "float64")
    for name, rows in (("D_step_fake", fake), ("D_step_real", real), ("G_step_fake", generated)):
        if f"trace64/{name}" in case.arrays:
            comparison.array(f"trace64/{name}", torch.stack(rows).flatten(1), limit)


def compare_states(case: Case, comparison: Comparison, pair: Pair, state: TrainState, word: str, narrow: bool) -> None:
    """Compare networks, average and moments after the run, and the checksums of everything."""
    modules: dict[str, nn.Module] = {"G": pair.G, "D": pair.D}
    if state.average.network is not None:
        modules["G_ema"] = state.average.network
    for network, module in modules.items():
        short = network[0]
        ours = module.state_dict()
        noise = recorded_noise(case, network, words=("float32_threads",) if narrow else ("float64_threads",))
        if narrow:
            noise = max(noise or 0.0, recorded_noise(case, network, words=("f32_vs_f64",)) or 0.0)
        row = f"{short} after training"
        limit = sequence_tolerance(tolerance(noise, row), row) if narrow else tolerance(noise, "float64")

        def compare(name: str, key: str, short: str = short, ours: Any = ours, limit: float = limit) -> None:
            comparison.array(name, pair.theirs(short, ours, key), limit)

        comparison.each(f"after{word}/{network}/", compare)
        for key in case.settings.get("checksums_after", {}).get(network, {}):
            tensor = pair.theirs(short, ours, key).double()
            sums = (tensor.mean(), tensor.std(correction=0), tensor.norm())
            for i, value in enumerate(sums):
                # The l2 norm of n entries moves by at most sqrt(n) times the largest difference.
                allowed = limit * (math.sqrt(tensor.numel()) if i == 2 else 1.0)
                path = ("checksums_after", network, key, 0 if narrow else 1, i)
                comparison.number(path, float(value), allowed, wide=not narrow)
    if not narrow:
        return
    for name, network, module in (("generator", "G", pair.G), ("discriminator", "D", pair.D)):
        parameters = dict(module.named_parameters())

        def compare_moment(
            key: str, rest: str, name: str = name, network: str = network, own: Any = parameters
        ) -> None:
            parameter, _, kind = rest.rpartition("/")
            moment = state.optimizers[name].state[own[pair.ours(network, parameter)]][kind]
            limit = sequence_tolerance(tolerance(None, "gradient"), f"{network} moments")
            comparison.array(key, moment, limit, relative=True)

        comparison.each(f"optim32/{network}/", compare_moment)


def compare_orthogonal(case: Case, comparison: Comparison) -> None:
    """Compare what the regularisation adds to each gradient at the starting state, strength 1."""
    if not any(key.startswith("ortho_unit/") for key in case.arrays):
        return
    pair = Pair(case)
    for parameter in pair.G.parameters():
        parameter.grad = torch.zeros_like(parameter)
    Orthogonal(half=True).gradients(pair.G, torch.zeros(()), 1.0)
    gradients = {key: p.grad for key, p in pair.G.named_parameters() if p.grad is not None}

    def compare(name: str, key: str) -> None:
        comparison.array(name, pair.theirs("G", gradients, key), tolerance(None, "gradient"), relative=True)

    comparison.each("ortho_unit/", compare)
    for key in case.settings.get("ortho_untouched_parameters", ()):
        if bool(pair.theirs("G", gradients, key).any()):
            raise ValueError(f"orthogonal regularisation must not touch {key}")
