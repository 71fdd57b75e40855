"""How many threads the embedded model computes with, and that none of them burns a core while it waits.

Two threads on one core make a model slow, and threads that spin make it collapse when anything else runs: each layer
waits for the slowest of them. Called by `server` before llama.cpp is loaded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

CPUS = Path("/sys/devices/system/cpu")
CGROUP = Path("/sys/fs/cgroup")

RESERVED_CORES = 1
"""For the broker, the services and their sidecars, which move a little while a model writes."""

FEW_CORES = 2
"""Of so few none is reserved: threads that sleep give way, and beside others two were measured as fast as one."""

MOST_THREADS = 8
"""More do not write faster: it is the memory that is read once a token."""


def choose_threads(cpus: Path = CPUS, cgroup: Path = CGROUP) -> int:
    """Returns the threads for this process: physical cores that it may use, some reserved if they are many."""
    cores = count_physical_cores(os.sched_getaffinity(0), cpus)
    quota = read_quota(cgroup)
    if quota is not None:
        cores = min(cores, int(quota))
    return max(1, min(MOST_THREADS, cores, max(FEW_CORES, cores - RESERVED_CORES)))


def count_physical_cores(allowed: set[int], cpus: Path = CPUS) -> int:
    """Returns how many cores these logical CPUs are of: two that share a core share what computes."""
    cores = set()
    for cpu in allowed:
        try:
            cores.add((cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text("ascii").strip())
        except OSError:
            cores.add(str(cpu))
    return len(cores)


def read_quota(cgroup: Path = CGROUP) -> float | None:
    """Returns the CPUs that a container may use at once, by cgroup version 2 or 1; None if there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        except OSError:
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 else None
    except ValueError:  # "max"
        return None


def stop_spinning(environ: MutableMapping[str, str]) -> None:
    """Has idle threads of OpenMP, which llama.cpp computes with, sleep at once; read when its library is loaded."""
    environ.setdefault("OMP_WAIT_POLICY", "passive")
