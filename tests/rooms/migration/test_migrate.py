"""Command lines of BigGAN-PyTorch become ours: every option, every script, and nothing is run."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import tyro

from biggan.cli.main import main
from biggan.cli.option_names import command_of, kind_of, options_of
from biggan.cli.train import parse
from biggan.foundation.errors import UserError
from biggan.migration.command_line import read, split
from biggan.migration.migrate import migrate
from biggan.migration.table import SCRIPTS, options, shell_scripts
from biggan.presets.registry import PRESETS, get_preset
from tests.conftest import DATA

RECORDED: dict[str, Any] = json.loads((DATA / "launch_scripts.json").read_text())


def parsed(words: tuple[str, ...]) -> Any:
    """Parse a command of ours by its own parser."""
    found = command_of(list(words[1:]))
    assert found is not None, words
    name, rest = found
    return parse(rest[0], rest[1:], "nowhere") if name == "train" else tyro.cli(kind_of(name), args=rest)


def launch(script: str) -> list[str]:
    """Return the command line of a launch script, from its recorded options."""
    recorded = dict(RECORDED[script]["options"])
    recorded["D_thin"] = not recorded.pop("D_wide")
    words = ["python", "train.py"]
    for option in options("train.py"):
        value = recorded.pop(option.name, option.default)
        if value != option.default:
            words += [f"--{option.name}"] if option.flag else [f"--{option.name}", str(value)]
    assert set(recorded) <= {"resolution", "n_classes"}
    return words


def test_all_98_options_are_in_the_table() -> None:
    names = [option.name for option in options("sample.py")]
    assert len(names) == len(set(names)) == 98
    assert sum(option.script == "sample.py" for option in options("sample.py")) == 8


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_the_table_names_exists(script: str) -> None:
    for option in options(script):
        if not option.ours:
            assert option.note, f"{option.name} has no counterpart, and nobody says why"
            continue
        if option.ours.startswith("biggan "):
            command, _, rest = option.ours.removeprefix("biggan ").partition(" --")
            assert not rest or f"--{rest.split()[0]}" in options_of(command), option.ours
            continue
        command = {"make_hdf5.py": "data prepare", "calculate_inception_moments.py": "evaluate reference"}
        for word in option.ours.split():
            there = options_of(command.get(script, "train")) | {"SRC"} | options_of("sample")
            assert word in there, f"{option.name}: {word}"


def test_every_script_is_in_the_table() -> None:
    launches = {name for name in shell_scripts() if name.startswith("launch_")}
    assert launches == set(RECORDED)
    assert {ours.split()[2] for name, ours in shell_scripts().items() if name in launches} <= set(PRESETS)


@pytest.mark.parametrize("script", RECORDED)
def test_a_launch_script_becomes_its_preset(script: str) -> None:
    found = migrate(launch(script))
    (command,) = found.commands
    config = parsed(command)
    preset = get_preset(shell_scripts()[script].split()[2]).build()
    assert command[2] == shell_scripts()[script].split()[2]
    same = {"data": preset.data, "run_dir": None, "evaluation": preset.evaluation}
    micro = {"micro_batch": preset.micro_batch} if "cifar" in script else {}  # there its GPUs are in the environment
    duration = {"duration": preset.duration} if "cifar" in script else {}  # its epochs are not in the record
    assert dataclasses.replace(config, **same, **micro, **duration) == preset
    if "cifar" not in script:  # whose interval is the default
        interval = RECORDED[script]["options"]["test_every"]
        assert config.evaluation.every == interval * preset.batch * preset.discriminator_steps


def test_every_value_that_is_not_a_default_arrives() -> None:
    text = (
        "CUDA_VISIBLE_DEVICES=0,1,2,3 python train.py --dataset I256 --augment --num_workers 3 --parallel \\\n "
        "--model BigGANdeep --G_param none --G_ch 32 --D_ch 48 --G_depth 2 --D_depth 3 --G_shared --shared_dim 96 "
        "--dim_z 100 --hier --mybn --G_attn 32_64 --D_attn 128 --norm_style bn --seed 7 --G_init xavier --D_init N02 "
        "--G_lr 3e-4 --D_lr 5e-4 --G_B1 .1 --D_B1 .2 --G_B2 .9 --D_B2 .99 --batch_size 96 --G_batch_size 192 "
        "--num_G_accumulations 2 --num_D_steps 3 --num_D_accumulations 4 --split_D --num_epochs 10 --G_fp16 "
        "--accumulate_stats --num_standing_accumulations 20 --save_every 100 --num_save_copies 3 --num_best_copies 4 "
        "--which_best FID --test_every 200 --num_inception_images 1000 --base_root /disk --experiment_name mine --ema "
        "--ema_decay 0.99 --ema_start 50 --adam_eps 1e-7 --BN_eps 1e-4 --SN_eps 1e-5 --num_G_SVs 2 --num_D_SVs 3 "
        "--num_G_SV_itrs 4 --num_D_SV_itrs 5 --G_ortho 1e-4 --D_ortho 2e-4"
    )
    (command,) = migrate(split(text)).commands
    config = parsed(command)
    model, iteration = config.model, 96 * 4 * 3
    assert command[command.index("--run-dir") + 1] == "runs/mine"
    assert (config.data.path, config.data.crop, config.data.filter, config.data.flip, config.data.workers) == (
        "/disk/data/ImageNet",
        "random",
        "bilinear",
        True,
        3,
    )
    assert config.resolution == (256, 256)
    assert (model.family, model.generator_width, model.discriminator_width) == ("biggan-deep", 32, 48)
    assert (model.generator_depth, model.discriminator_depth, model.shared_embedding) == (2, 3, 96)
    assert (model.latent_size, model.hierarchical_latent) == (100, True)
    assert (model.generator_attention, model.discriminator_attention) == (("32", "64"), ("128",))
    assert (model.generator_init, model.discriminator_init, model.norm_eps) == ("xavier", "normal", 1e-4)
    assert set(model.compatibility) == {"output-norm-eps-1e-5", "biased-accumulating-norm"}
    g, d = model.generator_spectral_norm, model.discriminator_spectral_norm
    assert (g.enabled, g.singular_values, g.iterations, g.eps) == (False, 2, 4, 1e-5)
    assert (d.enabled, d.singular_values, d.iterations, d.eps) == (True, 3, 5, 1e-5)
    assert (config.batch, config.generator_batch or config.batch, config.micro_batch) == (384, 384, 24)
    assert (config.discriminator_steps, config.split_discriminator_pass, config.seed) == (3, True, 7)
    for adam, values in (
        (config.generator_adam, (3e-4, 0.1, 0.9)),
        (config.discriminator_adam, (5e-4, 0.2, 0.99)),
    ):
        assert (adam.learning_rate, adam.beta1, adam.beta2, adam.eps) == (*values, 1e-7)
    assert (config.duration, config.precision) == (10 * 1_281_167, "float16")
    assert (config.ema.enabled, config.ema.decay, config.ema.start) == (True, 0.99, 50 * iteration)
    kept = config.checkpoint
    assert (kept.every, kept.keep_last, kept.keep_best) == (100 * iteration, 3, 4)
    judged = config.evaluation
    assert (judged.every, judged.count, judged.best_by) == (200 * iteration, 1000, "fid")
    assert (judged.generator_mode, judged.standing_batches) == ("standing", 20)
    assert (config.generator_orthogonal, config.discriminator_orthogonal) == (1e-4, 2e-4)
    assert config.compatibility == ("half-orthogonal-gradient",)


def test_sampling_and_data_become_commands_that_parse() -> None:
    drawn = (
        "python sample.py --dataset C100 --experiment_name mine --z_var 0.5 --accumulate_stats --G_batch_size 128 "
        "--ema --use_ema --load_weights best0 --sample_npz --sample_sheets --sample_interps --sample_random "
        "--sample_inception_metrics --sample_trunc_curves 0.2_0.1_1.0"
    )
    commands = migrate(split(drawn)).commands
    options_of = [parsed(command) for command in commands]
    assert [command[1] for command in commands].count("interpolate") == 3
    assert (options_of[0].source, options_of[0].name) == ("weights/mine", "best0")
    assert (options_of[1].count, options_of[1].truncation, options_of[1].standing_statistics) == (50_000, 0.5, 16)
    assert options_of[-1].truncations == (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    for text in ("python make_hdf5.py --dataset I64 --compression", "calculate_inception_moments.py --dataset I64"):
        (command,) = migrate(split(text)).commands
        assert parsed(command).resolution == (64, 64)


def test_what_has_no_counterpart_is_said_in_one_line_each() -> None:
    remarks = migrate(split("python train.py --pbar tqdm --log_G_spectra --shufle --lrate 3 && rm -rf x")).remarks
    assert all("\n" not in line for line in remarks)
    for start in ("--pbar has no counterpart", "--log_G_spectra has no counterpart", "--lrate is no option of it"):
        assert any(line.startswith(start) for line in remarks), start
    assert any("nearest: --shuffle" in line for line in remarks)
    assert any("'&&'" in line for line in remarks)


def test_abbreviations_and_equals_signs_are_read_as_its_parser_reads_them() -> None:
    foreign = read(split("python train.py --datas C10 --G_lr=1e-3"))
    assert (foreign.values["dataset"], foreign.values["G_lr"]) == ("C10", 1e-3)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("python other.py --x", "other.py"),
        ("python train.py --batch_size many", "batch_size"),
        ("python train.py --dataset I96", "I96"),
        ("python train.py --model Mine", "Mine"),
        ("python train.py 'unclosed", "unclosed"),
        ("sample.py --sample_trunc_curves 1_0_2", "1_0_2"),
        ("", "no program"),
    ],
)
def test_what_is_no_command_of_it_is_an_error_that_says_so(text: str, word: str) -> None:
    with pytest.raises(UserError, match=word):
        migrate(split(text))


def test_the_command_prints_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "launch.sh"
    file.write_text(f"#!/bin/bash\ntouch {tmp_path}/ran\npython train.py \\\n --dataset C10 \\\n --seed 3 \\")
    assert main(["migrate", str(file)]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert shlex.split(first)[:3] == ["biggan", "train", "biggan-pytorch-cifar10"]
    assert "--seed 3" in first
    assert all(line.startswith("# ") for line in rest)
    assert list(tmp_path.iterdir()) == [file]
    assert main(["migrate", f"python train.py --dataset C10 --experiment_name $(touch {tmp_path}/ran)"]) == 0
    assert "not looked up" in capsys.readouterr().out
    assert main(["migrate", "bash", "scripts/launch_SNGAN.sh"]) == 0
    assert "biggan-pytorch-sngan" in capsys.readouterr().out
    assert main(["migrate"]) == 2
    assert list(tmp_path.iterdir()) == [file]
