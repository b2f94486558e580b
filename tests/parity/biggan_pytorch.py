"""Cases of BigGAN-PyTorch: forwards, gradients, training sequences, standing statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from biggan.foundation.images import to_float
from biggan.losses.adversarial import Hinge, Softplus
from biggan.sampling.standing import StandingEstimate
from biggan.training.step import (
    judge_together,
)
from tests.parity.case import Case
from tests.parity.comparison import BUFFER_32, Comparison, recorded_noise, sequence_tolerance, tolerance
from tests.parity.pair import Pair
from tests.parity.training import run_training


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
def run_forward(case: Case, comparison: Comparison, family: str = "biggan-pytorch") -> None:
    """Eval and train forwards, and the buffers after the latter."""
    for mode in ("eval", "train"):
        pair = Pair(case, family=family)
        for network in ("G", "D"):
            if pair.has[network]:
                forward(case, comparison, pair, network, mode)
        if mode == "train":
            compare_buffers(case, comparison, pair, "after_train")


def forward(
    case: Case,
    comparison: Comparison,
    pair: Pair,
    network: str,
    mode: str,
    name: str | None = None,
    z: Tensor | None = None,
) -> None:
    """Run one network in one mode and compare its output; ``z`` takes the place of the case's."""
    module = pair.G if network == "G" else pair.D
    module.train(mode == "train")
    if network == "G":
        output = pair.colours(pair.G(case.arrays["in/z"] if z is None else z, case.arrays["in/y"]))
    else:
        output = pair.D(pair.colours(to_float(case.arrays["in/x_uint8"])), case.arrays["in/dy"])
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
    fake, real = (verdict.score for verdict in judge_together(pair.D.judge, fakes, y, x, dy))
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
