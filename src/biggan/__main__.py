"""``python -m biggan``, as ``torchrun`` starts it."""

from biggan.cli.main import main

raise SystemExit(main())
