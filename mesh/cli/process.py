"""The process of the command before it imports anything else, and how signals end it.

Whoever calls it may have set Python up for programs of his own (PYTHONPATH, PYTHONWARNINGS=error), have closed its
standard streams, or interrupt it in its first second: `prepare` is for those. It imports nothing that PYTHONPATH could
have another one of. Called by what composes the command, by `mesh.cli.program` and by `mesh.cli.world`.
"""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130
"""As mesh.cli.exits has it, which is not imported yet."""
KEPT = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED")
"""What is harmless of Python's own variables; no process that we start gets another."""


def prepare() -> None:
    """Makes this process independent of how its caller set up Python. To be called first, and once."""
    os.umask(0o077)  # what we write is its user's alone, and its user's to read, whatever the caller's mask is
    _open_missing_streams()
    end_at_signals()
    _move_to_end(os.environ.get("PYTHONPATH", ""))
    if "PYTHONWARNINGS" in os.environ:
        import warnings  # noqa: PLC0415 - Python has imported it, but only then

        warnings.resetwarnings()
        warnings.simplefilter("ignore")
    for name in [name for name in os.environ if name.startswith("PYTHON") and name not in KEPT]:
        del os.environ[name]


def heeded() -> list[signal.Signals]:
    """Returns the signals that end a command: not those that its caller has it ignore, by nohup or `&` in a script.

    SIGTERM is heeded always.
    """
    ignored = signal.getsignal
    return [
        signal.SIGTERM,
        *(number for number in (signal.SIGINT, signal.SIGHUP) if ignored(number) is not signal.SIG_IGN),
    ]


def end_at_signals() -> None:
    """From now on a signal ends the process at once: nothing has been started yet, or nothing is left to do."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by a caller, the ends of children would be lost
    for number in heeded():
        signal.signal(number, _end)


def raise_at_signals() -> None:
    """From now on a signal raises KeyboardInterrupt, wherever the program is."""
    for number in heeded():
        signal.signal(number, signal.default_int_handler)


def _end(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)


def _move_to_end(python_path: str) -> None:
    """Lets our own packages come first: what PYTHONPATH names may hold others of the same names."""
    try:
        named = {os.path.abspath(path) for path in python_path.split(os.pathsep) if path}  # noqa: PTH100 - no pathlib yet
    except FileNotFoundError:  # the working folder
        named = set(python_path.split(os.pathsep))
    first = [] if sys.flags.safe_path else sys.path[:1]  # the folder of the script
    rest = sys.path[len(first) :]
    sys.path[:] = [*first, *sorted(rest, key=named.__contains__)]


def _open_missing_streams() -> None:
    """Opens standard streams that are closed: else the next file or socket would be taken for one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
            os.set_inheritable(descriptor, True)
