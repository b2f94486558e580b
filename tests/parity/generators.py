"""Cases of generators that were published without a discriminator: pytorch-pretrained-BigGAN and TensorFlow Hub."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from biggan.convert.contract import FOREIGN, Imported, import_networks
from biggan.convert.facts import Facts
from biggan.convert.habits import biggan_pytorch_bytes, huggingface_bytes, huggingface_noise
from biggan.convert.reading import read_numbers_as_tensors
from biggan.convert.tfhub import one_set
from biggan.layers.normalization import batch_norms
from biggan.models.contract import Generator, build_generator
from biggan.sampling.bank import checked_bank
from tests.parity.biggan_pytorch import compare_output
from tests.parity.case import Case
from tests.parity.comparison import Comparison, recorded_noise, tolerance
from tests.parity.others import one_thread

_OUTPUT = re.compile(r"out/(eval|eval_soft|train)/trunc([0-9.]+?)(?:\.(?:stride\d|crop24))?")


def run_huggingface(case: Case, comparison: Comparison) -> None:
    """Run one case of any kind."""
    if "draws" in case.settings:
        for draw in case.settings["draws"]:
            ours = huggingface_noise(draw["batch_size"], draw["dim_z"], draw["truncation"], draw["seed"])
            comparison.array(draw["key"], ours, 0.0)
        return
    with one_thread(), torch.no_grad():
        for key in case.arrays:
            match = _OUTPUT.fullmatch(key)
            if match:
                run_truncation(case, comparison, match[1], match[2])


def run_truncation(case: Case, comparison: Comparison, mode: str, word: str) -> None:
    """Draw at one truncation; in training its batch norms still use what is stored."""
    family = FOREIGN["huggingface"]
    state = {key.removeprefix("state/"): value for key, value in case.arrays.items() if key.startswith("state/")}
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    imported = import_networks(family, state, None, family.facts_from_options(case.settings["config"]))
    generator = built(imported)
    assert imported.truncation_bank is not None
    generator = checked_bank(imported.truncation_bank, imported.bank, generator, case.name).at(generator, float(word))
    generator.train(mode == "train")
    for norm in batch_norms(generator).values():
        norm.eval()
    classes = case.arrays["in/class_vector_soft" if mode == "eval_soft" else "in/class_vector"].float()
    assert generator.class_embedding is not None
    output = generator.synthesize(case.arrays["in/z"] * float(word), generator.class_embedding(classes))
    noise = recorded_noise(case, word, words=("maxabs",))
    compare_output(case, comparison, f"out/{mode}/trunc{word}", output, tolerance(noise, "G eval"))


def built(imported: Imported) -> Generator:
    """Return the generator, in evaluation mode, with all of its tensors and no others."""
    if imported.unused or imported.missing:
        raise ValueError(f"unused {imported.unused}, missing {imported.missing}")
    generator = build_generator(imported.architecture)
    generator.load_state_dict(imported.generator or {})
    return generator.eval()


def run_bytes(case: Case, comparison: Comparison) -> None:
    """Compare the two conversions to bytes."""
    conversions: dict[str, Callable[[Tensor], Tensor]] = {
        "out/hf_bytes_nhwc": huggingface_bytes,
        "out/biggan_pytorch_bytes_nchw": biggan_pytorch_bytes,
    }
    for key, convert in conversions.items():
        comparison.array(key, convert(case.arrays["in/x"]), 0.0)


def run_tfhub(case: Case, comparison: Comparison) -> None:
    """Convert the dump; compare outputs, and every tensor as BigGAN-PyTorch would store it."""
    variables = read_numbers_as_tensors(case.folder / str(case.settings["hdf5"]).rpartition("/")[2])
    family = FOREIGN["tfhub"]
    for word, averaged in (("ema", True), ("raw", False)):
        imported = import_networks(family, one_set(variables, averaged))
        generator = built(imported)
        with one_thread(), torch.no_grad():
            output = generator(case.arrays["in/z"], case.arrays["in/y"])
        noise = recorded_noise(case, words=("eval_f32",))
        compare_output(case, comparison, f"out/eval_{word}", output, tolerance(noise, "G eval"))
        compare_converted(case, comparison, generator, word)
    imported = import_networks(family, one_set(variables, True), None, Facts(output_norm_eps=1e-4))
    with one_thread(), torch.no_grad():
        output = built(imported)(case.arrays["in/z"], case.arrays["in/y"])
    # Their first stage divides by norm + eps where everybody after them takes the larger of the two; the recorded
    # distance between these two is all that can be asked for.
    apart = (
        recorded_noise(case, words=("first_stage", "same_with")) or recorded_noise(case, words=("first_stage",)) or 0.0
    )
    compare_output(case, comparison, "out/first_stage_eval_ema", output, 1.5 * apart)


def compare_converted(case: Case, comparison: Comparison, generator: Generator, word: str) -> None:
    """Compare every tensor, in BigGAN-PyTorch's names and forms, by its checksums, and whole where it is stored."""
    noted = case.settings["converted_checksums"][word]
    shapes = {key: torch.empty(values[0]) for key, values in noted.items()}
    back = FOREIGN["biggan-pytorch"].generator(shapes, Facts())
    ours = generator.state_dict()
    for key, (shape, *sums) in noted.items():
        theirs = back.to_theirs(ours, key).reshape(shape)
        wide = theirs.double().flatten()
        places = torch.arange(1, wide.numel() + 1, dtype=torch.float64)
        found = (float(wide.mean()), float(wide.std(correction=0)), float(wide.norm()), float((wide * places).sum()))
        for i, side in enumerate(theirs.shape):
            comparison.number(("converted_checksums", word, key, 0, i), side, 0.0)
        for i, (value, sum_) in enumerate(zip(found, sums, strict=True), start=1):
            comparison.number(("converted_checksums", word, key, i), value, 1e-9 * max(abs(sum_), 1.0))
        if f"state_{word}/{key}" in case.arrays:
            comparison.array(f"state_{word}/{key}", theirs, 0.0)
