"""Addresses on the network: which are followed, what a file from one is called, and the one way to open one."""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from biggan.foundation.errors import NotDownloadedError, UserError

_PATIENCE = 60  # seconds without a byte
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=@-]")
_LONGEST_NAME = 120


def file_name(url: str) -> str:
    """Return the name under which a download is kept: the last of its path, without anything that has a meaning."""
    name = _UNSAFE.sub("_", unquote(urlsplit(url).path).rpartition("/")[2]).lstrip(".")
    return name[-_LONGEST_NAME:].lstrip(".") or "download"


def require_secure(url: str) -> None:
    """Check that an address is https, or http on this machine.

    Raises:
        UserError: it is not, or is no address at all.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UserError(f"{url}: not an address ({error})") from error
    if not host or any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise UserError(f"{url!a}: not an address")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(host)):
        raise UserError(
            f"{url}: only https is followed, on the way as well; fetch it yourself and give its path instead"
        )


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
        require_secure(arguments[-1])
        return super().redirect_request(*arguments)


@contextlib.contextmanager
def told(url: str) -> Iterator[None]:
    """Say whatever goes wrong with the network in one way.

    Raises:
        UserError: names the address and the way around.
    """
    try:
        yield
    except UserError:
        raise
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(error, urllib.error.HTTPError):
            reason = f"{error.code} {reason}"
        raise NotDownloadedError(
            f"{url}: could not be downloaded ({reason or type(error).__name__}). Fetch it on a machine with a network "
            "and give its path instead."
        ) from error
    except ValueError as error:  # what the library says of headers and addresses that are none
        raise UserError(f"{url}: could not be downloaded, no proper answer ({error})") from error


@functools.cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


def opened(url: str, headers: Mapping[str, str], patience: float = _PATIENCE) -> Any:
    """Return the answer to a request for ``url``: an object with ``status``, ``headers`` and ``read``.

    Redirects are followed where :func:`require_secure` allows it.

    Raises:
        UserError: a redirect led to what is not followed.
        HTTPError, OSError, ValueError: as the library raises them; :func:`told` puts them into words.
    """
    opener = urllib.request.OpenerDirector()  # without the usual handlers of files, ftp and data
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=_trusted()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SecureRedirects(),
    ):
        opener.add_handler(handler)
    own = {"User-Agent": "biggan", "Accept-Encoding": "identity"}
    return opener.open(urllib.request.Request(url, headers={**own, **headers}), timeout=patience)
