"""Cases of compare_gan: its own networks, run by TensorFlow, from the variables of one checkpoint."""

from __future__ import annotations

import torch

from biggan.convert.compare_gan import one_set
from biggan.convert.contract import FOREIGN, Imported, State, import_networks
from biggan.convert.facts import Facts
from biggan.foundation.images import to_float
from biggan.models.contract import Networks, build
from tests.parity.biggan_pytorch import compare_output
from tests.parity.case import Case
from tests.parity.comparison import Comparison, tolerance
from tests.parity.others import one_thread

NETWORKS = ("generator", "discriminator")


def run(case: Case, comparison: Comparison) -> None:
    """Compare what both networks give in both modes, with raw and with averaged weights, and G's buffers."""
    images = to_float(case.arrays["in/x_uint8"])
    z, labels = case.arrays["in/z"], case.arrays["in/y"]
    with one_thread(), torch.no_grad():
        for key, averaged, training in (("eval", False, False), ("average", True, False), ("train", False, True)):
            if not any(name.startswith(f"out/{key}_G") for name in case.arrays):
                continue  # no training of vectors that have not settled: of those of inputs ours are half a step on
            imported = imported_of(case, averaged=averaged)
            networks = loaded(imported)
            networks.generator.train(training)
            networks.discriminator.train(training)
            mode = "G train" if training else "G eval"
            compare_output(case, comparison, f"out/{key}_G", networks.generator(z, labels), tolerance(None, mode))
            if not averaged:
                compare_output(
                    case, comparison, f"out/{key}_D", networks.discriminator(images, labels), tolerance(None, "D")
                )
            if training:
                compare_buffers(case, comparison, networks, imported)


def imported_of(case: Case, *, averaged: bool) -> Imported:
    """Return the case's networks in ours."""
    family = FOREIGN["compare-gan"]
    g, d = (one_set(under(case, network), averaged and network == "generator") for network in NETWORKS)
    imported = import_networks(family, g, d, Facts(**case.settings.get("facts", {})))
    if imported.unused or imported.missing:
        raise ValueError(f"unused {imported.unused}, missing {imported.missing}")
    return imported


def under(case: Case, network: str, prefix: str = "state") -> State:
    """Return the variables of one network."""
    start = f"{prefix}/{network}/"
    return {key.removeprefix(start): value for key, value in case.arrays.items() if key.startswith(start)}


def loaded(imported: Imported) -> Networks:
    """Return both networks with the converted tensors, and no others."""
    networks = build(imported.architecture)
    networks.generator.load_state_dict(imported.generator or {})
    networks.discriminator.load_state_dict(imported.discriminator or {})
    return networks


def compare_buffers(case: Case, comparison: Comparison, networks: Networks, imported: Imported) -> None:
    """Compare singular vectors of outputs after a training forward; those of inputs are half an iteration on."""
    translation = imported.translations["generator"]
    ours = networks.generator.state_dict()
    for key in under(case, "generator", "after_train"):
        name = key.removesuffix("u_var") + "u" if key.endswith("/u_var") else key
        found = translation.to_theirs(ours, name)
        comparison.array(f"after_train/generator/{key}", found, tolerance(None, "G train"))
