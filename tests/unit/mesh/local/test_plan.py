"""What a plan says: which pods are started, notified and stopped, and in which order. No process is started here."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.local.plan import Plan, Step, plan
from mesh.local.snapshot import PodStatus, Snapshot
from mesh.manifests import ManifestError
from tests.unit.mesh.local.snapshots import (
    BROKER,
    CALLEE_HOST,
    CLOSED,
    PLAIN,
    ROUTED,
    WORKLOADS,
    declare,
    pod,
    snapshot,
)

FEW = settings(deadline=None, max_examples=20)
"""Each example translates a few meshes, at some 10 ms a pod."""

BAD_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: more}
spec: {selector: {app: callee}, ports: [{name: grpc, port: 1, targetPort: nowhere}]}
"""


def steps(planned: Plan) -> list[Step]:
    return [stage.step for stage in planned.stages]


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any of some hundred: up to two replicas of each workload, ready or not, under different resources."""
    more = draw(st.sampled_from([PLAIN, CLOSED, ROUTED]))
    pods: list[PodStatus] = [BROKER] if draw(st.booleans()) else []
    for workload in WORKLOADS:
        ready = draw(st.lists(st.booleans(), max_size=2))
        pods += [pod(workload, number, is_ready=is_ready) for number, is_ready in enumerate(ready)]
    return snapshot(*pods, more=more)


def replay(planned: Plan) -> Snapshot:
    """What is current after a plan, by what its stages say of themselves; each of them must be possible."""
    current, running = planned.old, set(planned.old.pods)
    files = {name: dict(found) for name, found in current.configuration().items()}
    for stage in planned.stages:
        assert running.isdisjoint(stage.started)
        running |= set(stage.started)
        given = stage.snapshot.configuration()
        for name in (*stage.started, *stage.notified):
            if name in given:
                files[name] = dict(given[name])
        assert {name: files[name] for name in given} == given, "an Envoy has other files than it should have"
        assert running.issuperset(stage.stopped)
        assert current.pods.keys().isdisjoint(stage.stopped), "a pod is stopped while callers know of it"
        running -= set(stage.stopped)
        current = stage.snapshot
    assert running == set(current.pods)
    return current


@FEW
@given(snapshots())
def test_nothing_is_done_where_nothing_changes(one: Snapshot) -> None:
    """A plan from a snapshot to itself has no stage."""
    assert plan(one, one).stages == ()


@FEW
@given(snapshots(), snapshots())
def test_applying_a_plan_gives_the_new_snapshot(old: Snapshot, new: Snapshot) -> None:
    """Whatever changes between two: the stages lead there, notify just those whose files differ, and stop nobody who
    is still called."""
    planned = plan(old, new)
    assert replay(planned) == new == planned.new


@FEW
@given(snapshots(), snapshots())
def test_going_back_gives_the_old_snapshot(old: Snapshot, new: Snapshot) -> None:
    """From the end of a plan, and from any stage of it, a plan leads back to where it began."""
    planned = plan(old, new)
    for reached in (planned.new, *(stage.snapshot for stage in planned.stages)):
        assert replay(plan(reached, old)) == old


@FEW
@given(snapshots(), snapshots(), snapshots())
def test_two_plans_are_one(first: Snapshot, second: Snapshot, third: Snapshot) -> None:
    """One plan after another does what both do."""
    both = plan(first, second).then(plan(second, third))
    assert replay(both) == third
    assert both.old == first
    assert both.new == third


def test_all_start_with_all_they_need() -> None:
    """The first plan starts every pod, with files that say all: nobody is notified or connects again."""
    pods = [BROKER, pod("callee", is_ready=False), pod("caller", is_ready=False)]
    planned = plan(Snapshot(declare(), b"root"), snapshot(*pods))
    assert steps(planned) == [Step.UPDATE]
    assert planned.started == ("callee-0", "caller-0", "kafka-0")
    assert (planned.notified, planned.reconnected, planned.stopped) == ((), (), ())
    assert planned.stages[0].snapshot.connected.keys() == {CALLEE_HOST, CALLEE_HOST.replace("callee", "caller")}


def test_a_new_replica_is_called_once_it_is_ready() -> None:
    """Scaling up notifies nobody; that the new pod is ready notifies whoever calls it."""
    one = snapshot(pod("callee"), pod("caller"))
    two = one.with_pods([pod("callee", 1, is_ready=False)])
    planned = plan(one, two)
    assert (planned.started, planned.notified) == (("callee-1",), ())
    ready = plan(planned.new, planned.new.with_ready({"callee-0", "callee-1", "caller-0"}))
    assert (ready.started, ready.notified) == ((), ("callee-0", "callee-1", "caller-0"))
    assert ready.reconnected == ()


def test_callers_are_notified_before_a_pod_ends() -> None:
    """Scaling down takes the pod from its callers' endpoints first, and only then ends it."""
    two = snapshot(pod("callee"), pod("callee", 1), pod("caller"))
    planned = plan(two, two.without_pods(["callee-1"]))
    assert steps(planned) == [Step.UPDATE, Step.STOP]
    assert (planned.stages[0].notified, planned.stages[1].stopped) == (("callee-0", "caller-0"), ("callee-1",))
    assert "127.1.1.11" not in str(dict(planned.stages[0].snapshot.configuration()["caller-0"]))


def test_callers_connect_again_once_new_rules_are_active() -> None:
    """A policy is in its pod's files first; then its callers get its digest, and no one else's connections change."""
    old, new = (snapshot(pod("callee"), pod("caller"), more=more) for more in (PLAIN, CLOSED))
    planned = plan(old, new)
    assert steps(planned) == [Step.UPDATE, Step.RECONNECT]
    assert planned.stages[0].notified == ("callee-0",)
    assert planned.stages[0].snapshot.connected == old.connected
    assert planned.reconnected == (CALLEE_HOST,)
    assert planned.stages[1].notified == ("callee-0", "caller-0")


def test_a_route_needs_no_new_connections() -> None:
    """What only callers obey changes their files, in one stage."""
    old, new = (snapshot(pod("callee"), pod("caller"), more=more) for more in (PLAIN, ROUTED))
    planned = plan(old, new)
    assert steps(planned) == [Step.UPDATE]
    assert "caller-0" in planned.notified


def test_a_workload_that_was_applied_runs_before_it_is_called_and_ends_after() -> None:
    """Declared, started, then sent calls: two plans in one. On the way back it ends once nothing names it."""
    old = snapshot(pod("callee"), pod("caller"))
    grown = snapshot(*old.pods.values(), pod("other", is_ready=False), workloads=(*WORKLOADS, "other"))
    routed = snapshot(*grown.pods.values(), more=ROUTED, workloads=(*WORKLOADS, "other"))
    planned = plan(old, grown).then(plan(grown, routed))
    assert [(stage.started, "caller-0" in stage.notified) for stage in planned.stages] == [
        (("other-0",), True), ((), True),
    ]  # fmt: skip
    back = plan(routed, old)
    assert steps(back) == [Step.UPDATE, Step.STOP]
    assert "other-0" not in back.notified


def test_the_broker_is_none_of_the_mesh() -> None:
    """A pod without a sidecar has no files, and its readiness notifies nobody."""
    one = snapshot(BROKER, pod("callee"), pod("caller"))
    assert set(one.configuration()) == {"callee-0", "caller-0"}
    ready = plan(one, one.with_ready({*one.pods}))
    assert (steps(ready), ready.notified) == ([Step.UPDATE], ())


def test_readiness_of_a_single_replica_changes_no_file() -> None:
    """Where no pod is ready callers go to all, so that one can say what is wrong."""
    one = snapshot(pod("callee", is_ready=False), pod("caller"))
    planned = plan(one, one.with_ready({"callee-0", "caller-0"}))
    assert planned.notified == ()
    assert planned.new.pods["callee-0"].is_ready


def test_a_snapshot_cannot_be_changed() -> None:
    """Neither by itself, nor by what it was made from."""
    pods = {"callee-0": pod("callee")}
    one = Snapshot(declare(), b"root", pods)
    pods.clear()
    assert list(one.pods) == ["callee-0"]
    with pytest.raises(TypeError):
        one.pods["x"] = pod("callee")  # type: ignore[index]


def test_what_one_pod_cannot_obey_is_refused_before_anything_happens() -> None:
    """A plan that cannot be applied does not exist."""
    old = snapshot(pod("callee"), pod("caller"))
    new = Snapshot(declare(frozenset({BAD_SERVICE})), b"root", old.pods)
    with pytest.raises(ManifestError, match="no container port of callee is called 'nowhere'"):
        plan(old, new)
