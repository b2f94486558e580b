"""The files for clusters: what they say can be said, to the shell, to torchrun and to this package."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # comes with huggingface_hub
from torch.distributed import HashStore
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.c10d_rendezvous_backend import C10dRendezvousBackend
from torch.distributed.elastic.rendezvous.dynamic_rendezvous import create_handler
from torch.distributed.elastic.rendezvous.utils import _parse_rendezvous_config
from torch.distributed.run import get_args_parser

from biggan.cli.train import parse
from biggan.training.configuration import TrainingConfig
from tests.rooms.training.test_restarts import RENDEZVOUS

EXAMPLES = Path(__file__).parents[1] / "examples"
SLURM, KUBERNETES = EXAMPLES / "slurm.sbatch", EXAMPLES / "pytorchjob.yaml"


def slurm_command() -> list[str]:
    """Return the words behind srun, with a value for each variable."""
    (command,) = re.findall(r"^srun ((?:.*\\\n)*.*)", SLURM.read_text(), re.MULTILINE)
    values = {"SLURM_NNODES": "2", "first": "node1", "DATA": "digits", "RUN_DIR": "runs/x", "SLURM_JOB_ID": "7"}
    filled = command.replace("${SLURM_RESTART_COUNT:-0}", "0")
    for name, value in values.items():
        filled = filled.replace(f"${name}", value)
    assert "$" not in filled
    words = shlex.split(filled.replace("\\\n", " "))
    return words[words.index("torchrun") :]


def kubernetes_command() -> list[str]:
    job = yaml.safe_load(KUBERNETES.read_text())
    (container,) = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    words: list[str] = container["command"]
    return words


@pytest.mark.parametrize("command", [slurm_command, kubernetes_command])
def test_the_command_is_understood(command: object, tmp_path: Path) -> None:
    words = command()  # type: ignore[operator]
    assert words[0] == "torchrun"
    launch = get_args_parser().parse_args(words[1:])
    assert (launch.module, launch.training_script) == (True, "biggan")
    if command is slurm_command:
        assert launch.rdzv_conf == RENDEZVOUS, "what the tests of lost machines use"
    verb, preset, *options = launch.training_script_args
    assert verb == "train"
    config = parse(preset, options, str(tmp_path / "run"))
    assert isinstance(config, TrainingConfig)
    assert (config.rank_timeout, config.stop_timeout, config.precision) == (10, 20, "bfloat16")
    assert config.stop_timeout < 30, "torchrun kills after 30 s"


def test_the_rendezvous_reads_what_it_is_told() -> None:
    """It takes any word without complaint; these arrive."""
    settings = _handler(RENDEZVOUS)
    plain = _handler("last_call_timeout=31")
    assert (settings.timeout.last_call.total_seconds(), settings.keep_alive_interval.total_seconds()) == (10, 3)
    assert (plain.timeout.last_call.total_seconds(), plain.keep_alive_interval.total_seconds()) == (31, 5)


def _handler(words: str) -> Any:
    parameters = RendezvousParameters("c10d", "localhost:0", "test", 1, 2, **_parse_rendezvous_config(words))
    store = HashStore()
    return create_handler(store, C10dRendezvousBackend(store, "test"), parameters).settings


def test_the_batch_script_is_a_script() -> None:
    done = subprocess.run(["bash", "-n", str(SLURM)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = SLURM.read_text().splitlines()
    options = [line for line in lines if line.startswith("#SBATCH ")]
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", line) for line in options), "no comment follows an option"
    assert max(map(lines.index, options)) < lines.index("set -uo pipefail"), "Slurm reads none behind a command"


def test_the_job_has_what_the_operator_reads() -> None:
    job = yaml.safe_load(KUBERNETES.read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    policy = job["spec"]["elasticPolicy"]
    assert ",".join(f"{one['key']}={one['value']}" for one in policy["rdzvConf"]) == RENDEZVOUS
    assert policy["minReplicas"] <= worker["replicas"] <= policy["maxReplicas"]
    pod = worker["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 30, "torchrun itself waits for so long"
    (container,) = pod["containers"]
    assert container["name"] == "pytorch", "the operator looks for this name"
    assert int(job["spec"]["nprocPerNode"]) == container["resources"]["limits"]["nvidia.com/gpu"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
