"""The kinds of data: each file opens one, under the contract of ``data/contract.py``."""
