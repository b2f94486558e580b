"""Cases of BigGAN-PyTorch: forwards, gradients, training sequences, standing statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from biggan.convert.biggan_pytorch import Imported, facts_from_options, import_states
from biggan.convert.biggan_pytorch_names import discriminator_names, export_entry, generator_names
from biggan.foundation.images import to_float
from biggan.losses.adversarial import Hinge, Softplus
from biggan.losses.orthogonal import OrthogonalRegularizer
from biggan.models.contract import build
from biggan.sampling.standing import StandingEstimate
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
    score_separately,
    score_together,
    train_step,
)
from tests.parity.case import Case
from tests.parity.comparison import BUFFER_32, Comparison, recorded_noise, sequence_tolerance, tolerance

CPU = torch.device("cpu")


class Pair:
    """The case's networks in ours, and the way back to the reference's names."""

    def __init__(self, case: Case, dtype: torch.dtype = torch.float32) -> None:
        g_state, d_state = case.state("G", dtype), case.state("D", dtype)
        self.imported: Imported = import_states(
            g_state or None, d_state or None, facts_from_options(case.settings["config"])
        )
        networks = build(self.imported.architecture)
        self.G = networks.generator.to(dtype)
        self.D = networks.discriminator.to(dtype)
        if self.imported.generator is not None:
            self.G.load_state_dict(self.imported.generator)
        if self.imported.discriminator is not None:
            self.D.load_state_dict(self.imported.discriminator)
        architecture = self.imported.architecture
        self.names = {
            "G": generator_names(architecture, g_state),
            "D": discriminator_names(architecture, d_state),
        }
        self.has = {"G": self.imported.generator is not None, "D": self.imported.discriminator is not None}

    def theirs(self, network: str, ours: Mapping[str, Tensor], key: str, counter: float = 0.0) -> Tensor:
        """Return the entry ``key`` of the reference from tensors in our names."""
        if key.endswith("accumulation_counter"):
            return torch.tensor([counter])
        return export_entry(self.names[network], ours, key)


def run(case: Case, comparison: Comparison) -> None:
    """Run one case of any kind."""
    kinds: dict[str, Callable[[Case, Comparison], None]] = {
        "training": run_training,
        "num_accumulations": run_standing,
    }
    chosen = [kind for key, kind in kinds.items() if key in case.settings]
    if not chosen and not any(key.startswith("out/") for key in case.arrays):
        raise ValueError("a case of unknown kind")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if chosen:
            chosen[0](case, comparison)
        else:
            run_forward(case, comparison)
        if "gradients" in case.settings:
            for dtype in (torch.float32, torch.float64):
                run_gradients(case, comparison, dtype)
    finally:
        torch.set_num_threads(threads)


# -- forwards ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def run_forward(case: Case, comparison: Comparison) -> None:
    """Eval and train forwards, and the buffers after the latter."""
    for mode in ("eval", "train"):
        pair = Pair(case)
        for network in ("G", "D"):
            if pair.has[network]:
                forward(case, comparison, pair, network, mode)
        if mode == "train":
            compare_buffers(case, comparison, pair, "after_train")


def forward(case: Case, comparison: Comparison, pair: Pair, network: str, mode: str, name: str | None = None) -> None:
    """Run one network in one mode and compare its output."""
    module = pair.G if network == "G" else pair.D
    module.train(mode == "train")
    if network == "G":
        output = pair.G(case.arrays["in/z"], case.arrays["in/y"])
    else:
        output = pair.D(to_float(case.arrays["in/x_uint8"]), case.arrays["in/dy"])
    noise = recorded_noise(case, network, words=(mode,)) or recorded_noise(case, words=(mode,))
    limit = tolerance(noise, f"G {mode}" if network == "G" else "D")
    compare_output(case, comparison, f"out/{network}/{name or mode}", output, limit)


def compare_output(case: Case, comparison: Comparison, key: str, output: Tensor, limit: float) -> None:
    """Compare an output in every form in which the case stores it."""
    views: dict[str, Callable[[Tensor], Tensor]] = {
        "": lambda x: x,
        ".stride4": lambda x: x[..., ::4, ::4],
        ".stride8": lambda x: x[..., ::8, ::8],
        ".crop24": centre_24,
    }
    for suffix, view in views.items():
        if key + suffix in case.arrays:
            comparison.array(key + suffix, view(output), limit)
    stats = case.settings.get("image_stats", {}).get(key)
    if stats is None:
        return
    wide = output.double()
    ours = {
        "mean": float(wide.mean()),
        "std": float(wide.std(correction=0)),
        "l2": float(wide.norm()),
        "min": float(wide.min()),
        "max": float(wide.max()),
        "numel": float(wide.numel()),
    }
    for statistic in stats:
        if statistic == "shape":
            for i, size in enumerate(output.shape):
                comparison.number(("image_stats", key, "shape", i), size, 0.0)
        else:
            # A difference of at most `limit` everywhere moves the l2 norm by at most limit * sqrt(n).
            allowed = limit * (math.sqrt(output.numel()) if statistic == "l2" else statistic != "numel")
            comparison.number(("image_stats", key, statistic), ours[statistic], allowed, wide=False)


def centre_24(x: Tensor) -> Tensor:
    """Return the central 24x24 window."""
    top, left = ((side - 24) // 2 for side in x.shape[-2:])
    return x[..., top : top + 24, left : left + 24]


def compare_buffers(
    case: Case,
    comparison: Comparison,
    pair: Pair,
    prefix: str,
    replaced: Mapping[str, Tensor] | None = None,
    counter: float = 0.0,
) -> None:
    """Compare all buffers under ``prefix``; ``replaced`` overrides ours by name."""
    for network, module in (("G", pair.G), ("D", pair.D)):
        ours = {**module.state_dict(), **(replaced or {})} if pair.has[network] else {}

        def compare(name: str, key: str, network: str = network, ours: Mapping[str, Tensor] = ours) -> None:
            comparison.array(name, pair.theirs(network, ours, key, counter), BUFFER_32, relative=True)

        comparison.each(f"{prefix}/{network}/", compare)


# -- gradients -----------------------------------------------------------------------------------------------------


def run_gradients(case: Case, comparison: Comparison, dtype: torch.dtype) -> None:
    """Gradients of the hinge objective, and the losses of both objectives, in one precision."""
    word = "float32" if dtype == torch.float32 else "float64"
    z, y = case.arrays["in/z"].to(dtype), case.arrays["in/y"]
    x, dy = to_float(case.arrays["in/x_uint8"], dtype), case.arrays["in/dy"]

    pair = Pair(case, dtype)
    pair.G.train()
    pair.D.train()
    with torch.no_grad():
        fakes = pair.G(z, y)
    fake, real = score_together(pair.D, fakes, y, x, dy)
    losses = {}
    for title, loss in (("hinge", Hinge()), ("dcgan", Softplus())):
        loss_fake, loss_real = loss.discriminator(fake, real)
        losses |= {f"{title}_D_loss_fake": loss_fake, f"{title}_D_loss_real": loss_real}
    (losses["hinge_D_loss_real"] + losses["hinge_D_loss_fake"]).backward()
    compare_gradients(case, comparison, pair, "D", word, losses, {"D_fake": fake, "D_real": real})

    pair = Pair(case, dtype)
    pair.G.train()
    pair.D.train()
    scores = pair.D(pair.G(z, y), y)
    losses = {"hinge_G_loss": Hinge().generator(scores), "dcgan_G_loss": Softplus().generator(scores)}
    losses["hinge_G_loss"].backward()
    compare_gradients(case, comparison, pair, "G", word, losses, {"D_fake": scores})


def compare_gradients(
    case: Case,
    comparison: Comparison,
    pair: Pair,
    network: str,
    word: str,
    losses: Mapping[str, Tensor],
    scores: Mapping[str, Tensor],
) -> None:
    """Compare losses, norms, and (float32) scores and complete gradients."""
    noted: dict[str, Any] = case.settings["gradients"][network]
    narrow = word == "float32"
    noise = noted.get("max_relative_l2_error_f32_vs_f64_where_norm_above_1e-4_of_global")
    relative = sequence_tolerance(tolerance(noise, "gradient"), "gradient") if narrow else 1e-9
    score_noise = recorded_noise(case, "D", words=("train",))
    absolute = tolerance(score_noise, "D") if narrow else 1e-9
    for name in noted[f"losses_{word}"]:
        path = ("gradients", network, f"losses_{word}", name)
        comparison.number(path, float(losses[name].detach()), absolute, wide=not narrow)
    module = pair.G if network == "G" else pair.D
    gradients = {key: p.grad if p.grad is not None else torch.zeros_like(p) for key, p in module.named_parameters()}
    global_norm = float(noted[f"global_norm_{word}"])

    zero = set(noted.get("parameters_with_mathematically_zero_gradient", ()))

    def allowed(key: str, norm: float) -> float:
        # What is zero in exact arithmetic is the rounding noise of the gradients around it; what is below 1e-4 of the
        # global norm is not known more precisely than that.
        if key in zero:
            return (1e-6 if narrow else 1e-14) * global_norm
        return relative * max(norm, 1e-4 * global_norm)

    for key, norm in noted[f"per_parameter_l2_{word}"].items():
        ours = float(pair.theirs(network, gradients, key).double().norm())
        path = ("gradients", network, f"per_parameter_l2_{word}", key)
        comparison.number(path, ours, allowed(key, norm), wide=not narrow)
    if not narrow:
        return

    def compare(name: str, key: str) -> None:
        if key in scores:
            comparison.array(name, scores[key], absolute)
        else:
            norm = float(case.arrays[name].double().norm())
            limit = allowed(key, norm)
            comparison.array(name, pair.theirs(network, gradients, key), limit, relative=True, scale=1.0)

    comparison.each(f"grads/{network}/", compare)


# -- training ------------------------------------------------------------------------------------------------------


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
        regularizers={
            name: [OrthogonalRegularizer(strength=settings[key], half=True, excluded=excluded)] if settings[key] else []
            for name, key, excluded in (
                ("generator", "G_ortho", ("class_embedding.weight",)),
                ("discriminator", "D_ortho", ()),
            )
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
    objective = Objective(loss=Hinge(), score=score_separately if settings["split_D"] else score_together)
    scores: list[Tensor] = []
    hook = pair.D.register_forward_hook(lambda _module, _inputs, output: scores.append(output.detach().clone()))
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
            moment = state.optimizers[name].state[own[pair.names[network][parameter]]][kind]
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
    OrthogonalRegularizer(strength=1.0, half=True).add_gradients(pair.G)
    gradients = {key: p.grad for key, p in pair.G.named_parameters() if p.grad is not None}

    def compare(name: str, key: str) -> None:
        comparison.array(name, pair.theirs("G", gradients, key), tolerance(None, "gradient"), relative=True)

    comparison.each("ortho_unit/", compare)
    for key in case.settings.get("ortho_untouched_parameters", ()):
        if bool(pair.theirs("G", gradients, key).any()):
            raise ValueError(f"orthogonal regularisation must not touch {key}")


# -- standing statistics ---------------------------------------------------------------------------------------------


@torch.no_grad()
def run_standing(case: Case, comparison: Comparison) -> None:
    """Running statistics, one train forward, and the statistics accumulated over the draws."""
    pair = Pair(case)
    forward(case, comparison, pair, "G", "eval", "eval_running")
    pair = Pair(case)
    forward(case, comparison, pair, "G", "train")
    compare_buffers(case, comparison, pair, "after_train")

    pair = Pair(case)
    standing = StandingEstimate(pair.G)
    for z, y in zip(case.arrays["in/z_accum"], case.arrays["in/y_accum"], strict=True):
        standing.add(z, y)
    compare_buffers(case, comparison, pair, "after_accumulation", standing.sums(), float(standing.batches))
    standing.apply()
    noise = recorded_noise(case, words=("eval_standing",))
    pair.G.eval()
    output = pair.G(case.arrays["in/z"], case.arrays["in/y"])
    compare_output(case, comparison, "out/G/eval_standing", output, tolerance(noise, "G eval"))
