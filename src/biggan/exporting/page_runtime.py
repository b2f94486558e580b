"""ONNX Runtime Web, by which a page draws: where its files are, whether they are that, and what a page may load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from biggan.foundation.addresses import require_secure
from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line

SCRIPT = "ort.wasm.min.js"
GLUE = "ort-wasm-simd-threaded.mjs"
BINARY = "ort-wasm-simd-threaded.wasm"
FOLDER = "runtime"
"""Within a page's folder."""
OLDEST = (1, 19)
"""The first release whose files have these names."""
_LARGEST = 2**27  # bytes of one of its files; the binary of 1.30 has 14 MB
_BANNER = re.compile(rb"ONNX Runtime Web v(\d+)\.(\d+)[.\d]*")
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]")
_PATH = re.compile(r"/[A-Za-z0-9._~@+/-]*")
_WHERE = (
    "name the folder dist of its npm package (npm pack onnxruntime-web, or npm install onnxruntime-web), or an https "
    "address that ends in /dist/"
)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """ONNX Runtime Web, in a folder or at an address."""

    address: str
    """As a page names it, with a slash at its end: relative to the page, or of another host."""
    files: tuple[Path, ...]
    """To be copied; none where it is left to an address."""
    version: str
    """Empty where it is left to an address."""


def find_runtime(word: str | None) -> Runtime:
    """Return the runtime that ``--runtime`` names: a folder, or an address, which is not fetched.

    Raises:
        UserError: nothing was named, or what is there is no onnxruntime-web of a known form.
    """
    if not word:
        raise UserError(f"--to page needs --runtime, where ONNX Runtime Web is: {_WHERE}")
    return _at(word) if "://" in word else _in(Path(word))


def _at(address: str) -> Runtime:
    require_secure(address)
    parts = urlsplit(address)
    host, path = parts.netloc.rpartition(":")[0] or parts.netloc, parts.path or "/"
    if parts.port is None:
        host = parts.netloc
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(path) or parts.query or parts.fragment:
        raise UserError(f"--runtime {one_line(address)}: not the plain address of a folder; {_WHERE}")
    if path.endswith((".js", ".mjs", ".wasm")):
        raise UserError(f"--runtime {one_line(address)}: this is a file; name its folder, {path.rpartition('/')[0]}/")
    return Runtime(address=f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}/", files=(), version="")


def _in(folder: Path) -> Runtime:
    shown = f"--runtime {one_line(str(folder))}"
    for place in (folder, folder / "dist"):
        files = tuple(place / name for name in (SCRIPT, GLUE, BINARY))
        if any(file.is_file() for file in files):
            break
    else:
        raise UserError(f"{shown}: no {SCRIPT} is there, so this is no onnxruntime-web; {_WHERE}")
    for file in files:
        if not file.is_file():
            raise UserError(
                f"{shown}: {file.name} is not there; onnxruntime-web {OLDEST[0]}.{OLDEST[1]} or newer has it"
            )
        if file.stat().st_size > _LARGEST:
            raise UserError(f"{shown}: {file.name} is far larger than that of onnxruntime-web; {_WHERE}")
    banner = _BANNER.search(_start(files[0]))
    if banner is None or _start(files[2])[:4] != b"\0asm" or b"export default" not in files[1].read_bytes():
        raise UserError(f"{shown}: these files are not those of onnxruntime-web; {_WHERE}")
    if (int(banner[1]), int(banner[2])) < OLDEST:
        raise UserError(
            f"{shown}: this is {banner[0].decode()}; {OLDEST[0]}.{OLDEST[1]} or newer is needed: npm install "
            "onnxruntime-web"
        )
    return Runtime(address=f"{FOLDER}/", files=files, version=banner[0].decode().rpartition("v")[2])


def _start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(1024)


def policy(runtime: Runtime, *, embedded: bool) -> str:
    """Return the Content-Security-Policy of a page: our files, the runtime's, and nothing else.

    Args:
        runtime: what draws.
        embedded: whether the page can be opened as a file: the runtime's own script is then a blob.
    """
    other = "" if runtime.files else f" {runtime.address}"
    blob = " blob:" if embedded and runtime.files else ""
    rules = {
        "default-src": "'none'",
        "script-src": f"'self' 'wasm-unsafe-eval'{blob}{other}",
        "style-src": "'self'",
        "connect-src": f"'self'{other}",
        "img-src": "data:",  # the empty icon
        "worker-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
