"""``biggan doctor``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from biggan.cli.parsing import read_options
from biggan.foundation.errors import UserError
from biggan.foundation.terminal import say

if TYPE_CHECKING:
    from biggan.doctor.finding import Finding


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Check this machine, a line each: versions, devices, precision, disk, cache, network, and ten seconds of training.

    Status 1 if training could not work; nothing is left behind, and nothing of the environment is printed.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes cuda, then mps, then cpu."""
    offline: bool = False
    """Do not look at the network."""
    seconds: float = 10.0
    """Of training, about; 0 leaves it out."""

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= 3600:
            raise UserError(f"--seconds {self.seconds}: 0 to 3600")


def main(words: list[str]) -> int:
    """Check, and print what was found as it is found."""
    options = read_options(DoctorOptions, words, "biggan doctor")
    from biggan.doctor.finding import checked
    from biggan.doctor.installation import check_extras, check_packages, check_python, check_torchvision

    found: list[Finding] = []

    def tell(name: str, check: Callable[[], Finding]) -> None:
        found.append(checked(name, check))
        say(str(found[-1]))

    tell("python", check_python)
    tell("packages", check_packages)
    if found[-1].state != "broken":
        from biggan.doctor import machine
        from biggan.doctor.trial import check_training
        from biggan.foundation.devices import choose_device

        choose_device(options.device)  # which says what is wrong with the option
        tell("torchvision", check_torchvision)
        tell("extras", check_extras)
        tell("device", lambda: machine.check_device(options.device))
        tell("precision", lambda: machine.check_precision(options.device))
        tell("compiler", lambda: machine.check_compiler(options.device))
        tell("memory", machine.check_memory)
        tell("disk", machine.check_disk)
        tell("cache", machine.check_cache)
        tell("network", lambda: machine.check_network(offline=options.offline))
        tell("text", machine.check_text)
        if options.seconds:
            tell("training", lambda: check_training(options.device, options.seconds))
    counts = {state: sum(finding.state == state for finding in found) for state in ("warning", "broken")}
    if counts["broken"]:
        say(f"\n{counts['broken']} broken: training cannot work here until that is mended")
        return 1
    say(f"\ntraining works; warnings: {counts['warning']}" if counts["warning"] else "\nall is well")
    return 0
