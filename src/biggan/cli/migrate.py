"""``biggan migrate``."""

from __future__ import annotations

from pathlib import Path

from biggan.foundation.errors import UserError
from biggan.foundation.terminal import say, typed

USAGE = """usage: biggan migrate 'COMMAND OF BIGGAN-PYTORCH'
       biggan migrate FILE.sh

Print our command for one of BigGAN-PyTorch's train.py, sample.py, make_hdf5.py or calculate_inception_moments.py.
What has no counterpart is said, one line each. Nothing that is given is ever run.

  biggan migrate 'python train.py --dataset C10 --shuffle --batch_size 50 --ema --use_ema'"""


def main(words: list[str]) -> int:
    """Translate and print: a command a line, remarks behind as comments."""
    if not words or words in (["-h"], ["--help"]):
        say(USAGE)
        return 0 if words else 2
    from biggan.migration.command_line import LONGEST, split
    from biggan.migration.migrate import migrate

    if len(words) == 1:
        path = Path(words[0])
        if len(words[0]) < 4096 and "\0" not in words[0] and path.suffix == ".sh" and path.is_file():
            from biggan.foundation.records import read_bounded

            try:
                text = read_bounded(path, LONGEST).decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(f"{path}: this is no text") from error
            words = split(text) or words
        else:
            words = split(words[0])
    found = migrate(words)
    for command in found.commands:
        say(typed(*command))
    for remark in found.remarks:
        say(f"# {remark}")
    return 0
