"""Networks as files for others: one module a format, named in ``contract.FORMATS``."""
