"""Every case of the reference's numbers, and a runner that cannot be fooled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from biggan.convert.biggan_pytorch import DEFAULTS, facts_from_options, import_states
from biggan.convert.facts import Facts
from biggan.convert.stored_options import read_options
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.models.contract import build, build_on_meta
from tests.conftest import DATA
from tests.parity.__main__ import main, run_case
from tests.parity.case import read_cases
from tests.parity.families import FAMILIES

CASES = {case.name: case for case in read_cases(DATA / "parity")}
NETWORKS = [name for name, case in CASES.items() if case.family == "biggan_pytorch"]


@pytest.mark.machine
@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    rows = run_case(CASES[name])
    misses = [f"{row.quantity}: {row.error:.2e} > {row.tolerance:.2e} at {row.worst}" for row in rows if not row.ok]
    assert not misses
    assert sum(row.count for row in rows) >= len(CASES[name].required())


def test_the_cases_cover_what_the_core_promises() -> None:
    kinds = {key for case in CASES.values() for key in case.arrays}
    for prefix in ("out/G/eval", "out/D/train", "after_train/", "grads/G", "after64/G_ema", "optim32/", "ortho_unit/"):
        assert any(key.startswith(prefix) for key in kinds), prefix
    assert len(NETWORKS) == 12
    assert "metrics/features_600_500_64" in CASES
    assert {case.family for case in CASES.values()} >= set(FAMILIES)


# -- the runner misses what it should ----------------------------------------------------------------------------------


def copied(tmp_path: Path, name: str, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> Path:
    """Copy a case and change its settings and arrays."""
    folder = tmp_path / "cases"
    folder.mkdir(exist_ok=True)
    stem = name.rpartition("/")[2]
    settings = json.loads((DATA / "parity" / f"{stem}.json").read_text())
    arrays = load_file(DATA / "parity" / f"{stem}.safetensors")
    change(settings, arrays)
    (folder / f"{stem}.json").write_text(json.dumps(settings))
    save_file(arrays, folder / f"{stem}.safetensors")
    return folder


def test_an_untouched_case_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied(tmp_path, "bg32_svs2_itrs2", lambda *_: None)
    assert main([str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "biggan_pytorch/bg32_svs2_itrs2" in printed
    assert "0 misses" in printed


def _shift(key: str, amount: float) -> Callable[[dict[str, Any], dict[str, torch.Tensor]], None]:
    def change(_: dict[str, Any], arrays: dict[str, torch.Tensor]) -> None:
        arrays[key] = arrays[key] + amount

    return change


def _set(path: list[Any], value: Any) -> Callable[[dict[str, Any], dict[str, torch.Tensor]], None]:
    def change(settings: dict[str, Any], _: dict[str, torch.Tensor]) -> None:
        for part in path[:-1]:
            settings = settings[part]
        settings[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bg32_hier", _shift("out/G/eval", 1e-3)),
        ("bg32_hier", _shift("out/D/train", 1e-2)),
        ("bg32_hier", _shift("after_train/G/linear.u0", 1e-3)),
        ("bg32_hier", _shift("grads/D/linear.weight", 0.5)),
        ("bg32_hier", _set(["image_stats", "out/G/eval", "l2"], 38.0)),
        ("bg32_hier", _set(["gradients", "G", "losses_float64", "hinge_G_loss"], 4.7367)),
        ("bg32_hier", _set(["gradients", "G", "per_parameter_l2_float32", "linear.weight"], 3.9)),
        ("bg32_hier", _set(["config", "SN_eps"], 50.0)),
        ("bg32_hier", _set(["case"], "unheard_of/bg32_hier")),
        ("train32", _shift("trace64/D_step_fake", 1e-7)),
        ("train32", _shift("after64/G/linear.bias", 1e-9)),
        ("train32", _shift("optim32/D/linear.weight/exp_avg_sq", 1.0)),
        ("train32", _set(["checksums_after", "G", "linear.bias", 1, 0], 0.0)),
        ("train32", _set(["losses_float64", 2, "D_loss_fake"], 12.0774)),
        ("train32", _set(["training", "num_D_steps"], 1)),
        ("train32_ortho", _shift("ortho_unit/linear.weight", 1e-2)),
        ("train32_ortho", _set(["training", "G_ortho"], 2e-4)),
        ("standing32", _shift("after_accumulation/G/output_layer.0.bn.stored_mean", 1e-3)),
        ("standing32", _shift("out/G/eval_standing", 1e-3)),
        ("features_600_500_64", _shift("out/radii_fake_k5", 1e-6)),
        ("features_600_500_64", _shift("out/mu_real", 1e-6)),
        ("features_600_500_64", _set(["results", "fid", "scipy_sqrtm"], 4.8984987)),
        ("features_600_500_64", _set(["results", "fid", "trace_fake"], 130.05474)),
        (
            "features_600_500_64",
            _set(["results", "fid_rank_deficient_first_32_rows", "torch_fidelity_eigenvalues"], 43.4102),
        ),
        ("features_600_500_64", _set(["results", "kid", "settings", "subsets"], 49)),
        ("features_600_500_64", _set(["results", "kid", "settings", "rng"], "numpy RandomState(2021)")),
        ("features_600_500_64", _set(["results", "kid", "unbiased_mmd2_on_everything"], 0.4420342)),
        ("features_600_500_64", _set(["results", "prdc_k5", "density"], 0.2268)),
        ("features_600_500_64", _set(["results", "precision_recall_torch_fidelity", "neighborhood"], 4)),
        ("features_600_500_64", _set(["results", "inception_score", "splits"], 11)),
        ("features_600_500_64", _set(["results", "inception_score", "n"], 504)),
        ("features_600_500_64", _set(["results", "inception_score", "biggan_pytorch", 1], 0.171946)),
        ("features_600_500_64", _set(["results", "unheard_of"], 1.0)),
        ("features_600_500_64", _set(["results", "kid", "unheard_of"], 1.0)),
    ],
)
def test_a_changed_case_misses(
    tmp_path: Path, name: str, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]
) -> None:
    assert main([str(copied(tmp_path, name, change))]) == 1


def test_what_nobody_compares_misses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(settings: dict[str, Any], arrays: dict[str, torch.Tensor]) -> None:
        arrays["out/G/eval_truncation0.5"] = torch.zeros(1)

    assert main([str(copied(tmp_path, "bg32_svs2_itrs2", change))]) == 1
    assert "not compared: out/G/eval_truncation0.5" in capsys.readouterr().out


def test_a_case_of_unknown_kind_misses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(settings: dict[str, Any], arrays: dict[str, torch.Tensor]) -> None:
        for key in [k for k in arrays if k.startswith(("out/", "after_train/"))]:
            del arrays[key]

    assert main([str(copied(tmp_path, "bg32_svs2_itrs2", change))]) == 1
    assert "unknown kind" in capsys.readouterr().out


def test_an_empty_folder_is_status_2(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2
    assert main([]) == 2
    (tmp_path / "note.json").write_text("{}")
    assert main([str(tmp_path)]) == 2


# -- the importer ------------------------------------------------------------------------------------------------------


def state(name: str, network: str) -> dict[str, torch.Tensor]:
    return CASES[f"biggan_pytorch/{name}"].state(network)


def options(name: str) -> dict[str, Any]:
    config: dict[str, Any] = CASES[f"biggan_pytorch/{name}"].settings["config"]
    return config


@pytest.mark.parametrize("name", [n.rpartition("/")[2] for n in NETWORKS])
def test_structure_comes_from_keys_and_shapes(name: str) -> None:
    """Nothing but the state dicts is given; the settings of the case are what must come out."""
    config = options(name)
    d = state(name, "D") or None
    imported = import_states(state(name, "G"), d)
    a = imported.architecture
    assert a.resolution == (config["resolution"],) * 2
    assert (a.family == "biggan-deep") == (config["model"] == "BigGANdeep")
    assert a.classes == config["n_classes"]
    assert a.generator_width == config["G_ch"]
    assert bool(a.shared_embedding) == config["G_shared"]
    assert a.hierarchical_latent == config["hier"]
    assert a.generator_spectral_norm.singular_values == config["num_G_SVs"]
    if config.get("G_depth"):
        assert (a.generator_depth, a.discriminator_depth) == (config["G_depth"], config["D_depth"])
    wanted = {int(x) for x in config["G_attn"].split("_")}
    assert {s.height for s in a.generator_stages() if s.attention} == wanted & {s.height for s in a.generator_stages()}
    if d is not None:
        assert a.discriminator_width == config["D_ch"]
        assert a.discriminator_spectral_norm.singular_values == config["num_D_SVs"]
    networks = build(a)
    networks.generator.load_state_dict(imported.generator or {})
    assert all(
        word in " ".join(imported.assumed) for word in ("batch-norm eps 1e-5", "bottom grid 4x4", "spectral-norm eps")
    )


def test_stated_facts_are_not_assumed() -> None:
    imported = import_states(state("bg64_hier", "G"), state("bg64_hier", "D"), facts_from_options(options("bg64_hier")))
    assert imported.architecture.norm_eps == 1e-4
    assert imported.architecture.generator_spectral_norm.eps == 1e-6
    assert "output-norm-eps-1e-5" in imported.architecture.compatibility
    assert not any("batch-norm eps 1e-5" in line and "output" not in line for line in imported.assumed)
    assert any("channel order rgb" in line for line in imported.assumed)


def test_assumed_facts_are_stored_in_the_architecture() -> None:
    imported = import_states(state("bg64_hier", "G"), None, Facts(norm_eps=3e-4))
    a = imported.architecture
    assert a.norm_eps == 3e-4
    assert a.generator_spectral_norm.eps == DEFAULTS.generator_spectral_eps
    assert a.resolved().bottom == (4, 4)
    assert "assumed spectral-norm eps of the generator 1e-8" in imported.assumed


@pytest.mark.parametrize("name", ["bg32_hier", "bg64_hier", "bg128_hier", "deep64", "deep128"])
def test_a_discriminator_alone(name: str) -> None:
    imported = import_states(None, state(name, "D"))
    a = imported.architecture
    assert a.resolution == (options(name)["resolution"],) * 2
    build_on_meta(a).discriminator.load_state_dict(imported.discriminator or {}, assign=True)


def test_full_size_layouts_by_their_keys() -> None:
    """Shapes of the released configurations, built on the meta device from our own presets and exported names."""
    from biggan.convert.biggan_pytorch import discriminator, generator
    from biggan.presets.registry import get_preset

    case = CASES["biggan_pytorch/bg128_hier"]
    model = get_preset("biggan-pytorch-bs256x8").build().model
    networks = build_on_meta(model)
    ours = set(networks.generator.state_dict())
    assert {entry.ours for entry in generator(case.state("G"), DEFAULTS).entries.values()} == ours
    without_attention = {key: value for key, value in case.state("D").items() if ".1." not in key}
    d_names = {entry.ours for entry in discriminator(without_attention, DEFAULTS).entries.values()}
    assert d_names <= set(networks.discriminator.state_dict())


def test_what_is_no_such_state_dict() -> None:
    with pytest.raises(UserError, match="no residual blocks"):
        import_states({"conv.weight": torch.zeros(1)})
    with pytest.raises(UserError, match="nothing to import"):
        import_states(None, None)
    broken = state("bg32_hier", "G")
    del broken["linear.weight"]
    with pytest.raises(UserError, match=r"no entry for 'linear.weight'"):
        import_states(broken)
    with pytest.raises(UserError, match="bottom grid"):
        import_states(state("bg32_hier", "G"), None, Facts(bottom=(6, 6)))
    with pytest.raises(UserError, match="different families"):
        import_states(state("deep64", "G"), state("bg64_hier", "D"))
    with pytest.raises(UserError, match="norm_style 'gn' does not work"):
        facts_from_options({"norm_style": "gn"})


# -- the restricted reader ---------------------------------------------------------------------------------------------


def test_options_are_read_from_a_pickled_state_without_running_code(tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "state_dict.pth"
    config = {"BN_eps": 1e-4, "G_activation": torch.nn.ReLU(inplace=True), "n": np.float64(3.5), "f": np.int64(4)}
    torch.save({"itr": 5, "best_IS": np.float64(1.0), "config": config}, path)
    assert read_options(path) == {"BN_eps": 1e-4, "G_activation": "inplace_relu", "n": 3.5, "f": 4}
    assert facts_from_options(read_options(path)).norm_eps == 1e-4


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(shutil.__file__).parent / "exploded",))


def test_code_in_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save({"config": {"a": Bomb()}}, tmp_path / "bad.pth")
    with pytest.raises(CorruptFileError, match="not opened here"):
        read_options(tmp_path / "bad.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds no options"):
        read_options(tmp_path / "list.pth")
    with pytest.raises(UserError, match="there is no such file"):
        read_options(tmp_path / "absent.pth")
