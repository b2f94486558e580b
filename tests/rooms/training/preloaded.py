"""What the process from which commands are forked has imported. Nothing here may start a thread."""

import torch.distributed  # noqa: F401

import biggan.cli.demo  # noqa: F401
import biggan.cli.main  # noqa: F401
import biggan.cli.train  # noqa: F401
import biggan.data.sources.digits  # noqa: F401
import biggan.training.setup  # noqa: F401
