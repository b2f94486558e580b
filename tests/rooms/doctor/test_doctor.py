"""The doctor: a line a check, the right status, and nothing of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from biggan.cli.main import main
from biggan.doctor.finding import Finding, checked, shown
from biggan.doctor.installation import check_packages, numbers, requirements
from biggan.doctor.machine import check_cache, check_network, check_precision
from biggan.doctor.trial import check_training

SECRET = "hunter2-of-the-test"


def test_a_healthy_machine_trains_and_nothing_of_the_environment_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("https_proxy", f"http://me:{SECRET}@127.0.0.1:9")  # nobody listens
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path / SECRET))
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--device", "cpu", "--seconds", "0.01"]) == 0
    out, err = capsys.readouterr()
    lines = out.split("\n\n")[0].splitlines()
    assert [line.split()[0] in ("ok", "warning") for line in lines] == [True] * len(lines)
    assert len({line.split()[1] for line in lines}) == len(lines) == 13
    assert any(line.startswith("warning  network") and "features" in line for line in lines)
    assert any(line.startswith("ok       training") for line in lines)
    assert SECRET not in out + err
    assert list(tmp_path.iterdir()) == []


def test_what_training_needs_and_is_not_there_gives_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "biggan_torch-9.9.dist-info"
    folder.mkdir()
    needs = ["torch>=99.1", "no-such-package>=1", "numpy>=1.26", 'av>=12; extra == "video"']
    needs.append("lint>=1; (sys_platform == 'linux' and platform_machine == 'x86_64') and extra == 'dev'")
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: biggan-torch\nVersion: 9.9\n" + "".join(f"Requires-Dist: {n}\n" for n in needs)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert requirements()["video"] == {"av": "12"}
    assert requirements()["dev"] == {"lint": "1"}, "other conditions make it no less optional"
    found = check_packages()
    assert found.state == "broken"
    assert "no-such-package is missing" in found.text
    assert "older than 99.1" in found.text
    assert "numpy" not in found.text
    assert main(["doctor", "--offline"]) == 1
    assert "broken" in capsys.readouterr().out


def test_a_device_that_is_not_there_is_a_mistake_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    missing = "mps" if torch.cuda.is_available() else "cuda"
    assert main(["doctor", "--offline", "--device", missing]) == 2
    assert check_training(missing, 0.01).state == "broken"
    capsys.readouterr()


def test_a_cache_that_is_no_folder_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path / "file" / "cache"))
    assert check_cache().state == "warning"
    assert shown(tmp_path / "file" / "cache" / "a") == str(Path("$BIGGAN_CACHE") / "a")


def test_small_checks() -> None:
    assert check_network(offline=True).state == "ok"
    assert check_precision("cpu").state == "ok"
    assert numbers("2.10.0rc1+cpu") == numbers("2.10") > numbers("2.9.1")

    def fails() -> Finding:
        raise OSError(f"proxy http://me:{SECRET}@host")

    found = checked("network", fails)
    assert found.state == "warning"
    assert SECRET not in str(found)
    assert "\n" not in str(Finding("a", "broken", "two\nlines"))
