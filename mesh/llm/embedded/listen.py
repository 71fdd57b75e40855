"""How the two embedded servers read their listening address and wait for the word to stop.

Both are started as pods and configured by environment variables; SIGTERM and SIGINT end them at once, because
neither owns anything that could be lost: a caller that lost its answer asks again.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_SUFFIX = ".sock"
"""By which llama.cpp knows a path from a host."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def listen_address(environ: Mapping[str, str], default_port: int) -> tuple[str, int]:
    """Returns host and port of LISTEN_ADDRESS ("host:port"), by default loopback. Raises ValueError.

    Of "unix:PATH.sock", as of a pod behind a sidecar on a laptop, it returns path and 0.
    """
    text = environ.get("LISTEN_ADDRESS", f"127.0.0.1:{default_port}")
    host, separator, port = text.rpartition(":")
    if host == "unix" and port.endswith(SOCKET_SUFFIX):
        return port, 0
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"LISTEN_ADDRESS must be host:port, not {text!r}")
    return host.strip("[]"), int(port)


def shown(host: str, port: int) -> str:
    """Returns what `listen_address` returned as people read it."""
    return f"{host}:{port}" if port else host


def listening_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that listens at what `listen_address` returned. Raises OSError.

    A Unix socket that is there already was left by a process that was killed: each pod has a folder of its own.
    """
    if port:
        return socket.create_server((host, port))
    Path(host).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(host)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


def block_stop_signals() -> None:
    """Keeps the stop signals for `wait_for_stop`. To be called before any thread starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def wait_for_stop() -> signal.Signals:
    """Blocks the main thread until a signal stops the process."""
    return signal.Signals(signal.sigwait(STOP_SIGNALS))


def fail(message: str) -> NoReturn:
    """Ends the process with one line that says what is wrong."""
    sys.stderr.write(message + "\n")
    sys.exit(1)
