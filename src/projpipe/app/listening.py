"""Where the page's server listens; without Gradio, for which a port that is taken is not to wait."""

from __future__ import annotations

import errno
import socket

from projpipe.errors import InputError

LOOPBACK = "127.0.0.1"
PORTS = range(7860, 7960)  # tried in this order where none is asked for
EVERY = {"0.0.0.0": LOOPBACK, "::": "::1"}  # what stands for all addresses of a machine, and one to open of each


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that takes connections from now on.

    Args:
        host: the address to listen on.
        port: None for the first free one of `PORTS`, 0 for any.

    Raises:
        InputError: the address is none of this machine's, or the port is taken.
    """
    if not host.strip():  # which would be all addresses of this machine
        raise InputError(f"--host: it is empty; give {LOOPBACK}, or another of this machine's")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = PORTS if port is None else [port]
    for one in tried:
        try:
            return socket.create_server((host, one), family=family, backlog=128)
        except OSError as error:
            number, reason = error.errno, (error.strerror or str(error)).partition(" (while")[0]
        if number != errno.EADDRINUSE:
            break
    if number in (errno.EADDRINUSE, errno.EACCES):
        raise InputError(f"--port: {one} of {host} cannot be had ({reason}); choose another, or 0 for any")
    raise InputError(
        f"--host: {host!r} cannot be listened on ({reason}); give {LOOPBACK}, or another of this machine's"
    )


def address(host: str, listening: socket.socket) -> str:
    """The page's address, as a browser takes it."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"
