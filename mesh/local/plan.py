"""What has to happen between two snapshots, and in which order: a pure function of the two.

Owns that order: callers know of a pod's end before it ends, and connect again to a pod whose rules have changed once
the new rules are active. Starts nothing: `reconciler` applies a plan, and `plan(reached, old)` leads back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from mesh.local.snapshot import Snapshot


class Step(Enum):
    """What a stage is for."""

    UPDATE = "update"
    """New pods are started, and the Envoys that are not about to end are notified of all that is new."""
    RECONNECT = "reconnect"
    """Callers connect again to the hosts whose rules have changed.

    A connection keeps the rules under which it was made. Callers' clusters get the new rules' digest as metadata: Envoy
    then takes new connections for new calls, and lets those under way end on the old ones.
    """
    STOP = "stop"
    """Pods that nobody calls any more are drained and ended."""


@dataclass(frozen=True)
class Stage:
    """One step. It is over once the pods that are started are ready, those stopped gone, and those notified obey.

    All fields but the first two are names of pods; `reconnected` are hosts.
    """

    step: Step
    snapshot: Snapshot
    """What is current from then on."""
    started: tuple[str, ...] = ()
    notified: tuple[str, ...] = ()
    """Whose Envoys get other files than they had; those that are started have them from the beginning."""
    reconnected: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The stages from one snapshot to another; none if they are the same."""

    old: Snapshot
    new: Snapshot
    stages: tuple[Stage, ...] = ()

    @property
    def started(self) -> tuple[str, ...]:
        """All pods that are started."""
        return tuple(name for stage in self.stages for name in stage.started)

    @property
    def notified(self) -> tuple[str, ...]:
        """All pods whose Envoys are notified, each once."""
        return tuple(dict.fromkeys(name for stage in self.stages for name in stage.notified))

    @property
    def reconnected(self) -> tuple[str, ...]:
        """All hosts to which callers connect again."""
        return tuple(host for stage in self.stages for host in stage.reconnected)

    @property
    def stopped(self) -> tuple[str, ...]:
        """All pods that are stopped."""
        return tuple(name for stage in self.stages for name in stage.stopped)

    def then(self, following: Plan) -> Plan:
        """This plan and then another, which begins where this one ends."""
        return Plan(self.old, following.new, (*self.stages, *following.stages))


def plan(old: Snapshot, new: Snapshot) -> Plan:
    """What leads from one snapshot to the other. A pod keeps its address and identity for as long as it has its name.

    What `new` says of `connected` does not matter: it follows from the rest. Raises ManifestError for what only shows
    in the light of one pod, so that a plan which exists can be applied.
    """
    target = replace(new, connected=new.rules)
    started = tuple(sorted(new.pods.keys() - old.pods.keys()))
    stopped = tuple(sorted(old.pods.keys() - new.pods.keys()))
    # Nobody is connected yet to a host that had no pod, and nobody any more to one that has none.
    kept = {host: old.connected.get(host, digest) for host, digest in target.connected.items()}
    updated = replace(target, connected=kept)
    stages = []
    if old != updated:
        stages.append(Stage(Step.UPDATE, updated, started, _find_notified(old, updated)))
    if updated != target:
        hosts = tuple(sorted(host for host, digest in kept.items() if target.connected[host] != digest))
        stages.append(Stage(Step.RECONNECT, target, notified=_find_notified(updated, target), reconnected=hosts))
    if stopped:
        stages.append(Stage(Step.STOP, target, stopped=stopped))
    return Plan(old, target, tuple(stages))


def _find_notified(old: Snapshot, new: Snapshot) -> tuple[str, ...]:
    """The pods of both whose Envoys have other files in the second."""
    before: Mapping[str, Mapping[str, str]] = old.configuration()
    return tuple(name for name, files in new.configuration().items() if name in before and files != before[name])
