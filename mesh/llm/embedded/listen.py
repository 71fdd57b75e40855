"""How the two embedded servers read their listening address and wait for the word to stop.

Both are started as pods and told by environment variables what to do; SIGTERM and SIGINT end them at once, because
neither owns anything that could be lost: a caller that lost its answer asks again.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def listen_address(environ: Mapping[str, str], default_port: int) -> tuple[str, int]:
    """Returns host and port of LISTEN_ADDRESS ("host:port"), by default loopback. Raises ValueError."""
    text = environ.get("LISTEN_ADDRESS", f"127.0.0.1:{default_port}")
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"LISTEN_ADDRESS must be host:port, not {text!r}")
    return host.strip("[]"), int(port)


def block_stop_signals() -> None:
    """Keeps the stop signals for `wait_for_stop`. To be called before any thread starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def wait_for_stop() -> signal.Signals:
    """Blocks the main thread until the process is told to stop."""
    return signal.Signals(signal.sigwait(STOP_SIGNALS))


def fail(message: str) -> NoReturn:
    """Ends the process with one line that says what is wrong."""
    sys.stderr.write(message + "\n")
    sys.exit(1)
