"""Conformance: what each mode of PeerAuthentication takes on a port, and how it refuses the rest.

The rows are those of mesh/sidecar/README.md about PeerAuthentication; the manifests are cases of tests/istiod.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from mesh.local import identities
from mesh.local.certificates import Authority
from tests.mesh.shop import STRICT, case, pod, shop
from tests.support import mesh_calls as calls
from tests.support.mesh import RunningMesh, refuses_connections, running
from tests.support.waiting import wait_until

ISTIO = ("istio", "http/1.1")
"""What sidecars say in the handshake."""


def get(mesh: RunningMesh, port: int, *, alpn: tuple[str, ...] | None = None, account: str = "client") -> calls.Outcome:
    """GET of the backend's port: plaintext, or mutual TLS with this ALPN."""
    identity = mesh.identity(account) if account else None
    context = None if alpn is None else calls.tls_context(mesh.authority, identity, alpn)
    return calls.request((mesh.pod("backend").ip, port), "GET", "/x", context=context)


def refused(mesh: RunningMesh, outcome: calls.Outcome, flag: str) -> None:
    """Asserts that the connection was closed with that flag in the backend's log, and that no app saw anything."""
    assert outcome.status == 0, outcome
    assert not mesh.script.seen
    wait_until(f"{flag} in the log", lambda: any(flag in access["response_flags"] for access in _log(mesh)))


def _log(mesh: RunningMesh) -> list[dict[str, str]]:
    return [{**access, "response_flags": access["response_flags"] or ""} for access in mesh.pod("backend").accesses()]


def stat(mesh: RunningMesh, name: str, workload: str = "backend") -> int:
    """A counter of a pod's Envoy, summed over all that end so."""
    envoy = mesh.pod(workload).envoy
    lines = mesh.run(envoy.ask("GET", f"/stats?filter={name}$")).splitlines()
    return sum(int(line.rpartition(": ")[2]) for line in lines)


# ---- HTTP ports ----


def test_strict_refuses_plaintext() -> None:
    """Row 1: no chain takes a connection without TLS."""
    with running(case("01-strict-http")) as mesh:
        refused(mesh, get(mesh, 8080), "NR")


def test_permissive_takes_plaintext_and_mutual_tls() -> None:
    """Rows 2 and 3: both reach the app, and only the caller with a certificate has a name there."""
    with running(case("02-permissive-http")) as mesh:
        assert get(mesh, 8080).status == 200
        assert get(mesh, 8080, alpn=ISTIO).status == 200
        plain, known = mesh.script.seen
        assert not plain.all("x-forwarded-client-cert")
        assert "URI=spiffe://cluster.local/ns/shop/sa/client" in known.all("x-forwarded-client-cert")[0]


@pytest.mark.parametrize("alpn", [(), ("http/1.1",), ("h2", "http/1.1")])
def test_permissive_refuses_tls_that_is_no_sidecars(alpn: tuple[str, ...]) -> None:
    """Row 4: TLS without one of Istio's names in ALPN finds no chain of an HTTP port."""
    with running(case("02-permissive-http")) as mesh:
        refused(mesh, get(mesh, 8080, alpn=alpn), "NR")


def test_strict_refuses_who_has_no_certificate() -> None:
    """Row 5: the handshake fails, and Envoy counts it as a missing certificate."""
    with running(case("01-strict-http")) as mesh:
        assert get(mesh, 8080, alpn=ISTIO, account="").status == 0
        assert stat(mesh, "fail_verify_no_cert") == 1
        assert not mesh.script.seen


def test_strict_refuses_certificates_that_do_not_count(tmp_path: Path) -> None:
    """Row 5: nor do another authority's, another trust domain's and an old one open a port."""
    with running(case("01-strict-http")) as mesh:
        stranger = Authority.open(tmp_path / "other")
        name = "spiffe://cluster.local/ns/shop/sa/client"
        old = mesh.authority.issue(name, timedelta(hours=1), now=datetime.now(UTC) - timedelta(days=2))
        identities = {
            "fail_verify_error": [stranger.issue(name), old],
            "fail_verify_san": [mesh.authority.issue("spiffe://elsewhere.org/ns/shop/sa/client")],
        }
        for counter, those in identities.items():
            for number, identity in enumerate(those, 1):
                context = calls.tls_context(mesh.authority, identity, ISTIO)
                assert calls.request((mesh.pod("backend").ip, 8080), "GET", "/x", context=context).status == 0
                assert stat(mesh, counter) == number
        assert not mesh.script.seen


def test_disabled_speaks_plaintext_alone() -> None:
    """Row 6: a port without mutual TLS serves plaintext; TLS meets an HTTP parser and gets nowhere."""
    with running(case("06-disable-http")) as mesh:
        assert get(mesh, 8080).status == 200
        mesh.script.clear()
        assert get(mesh, 8080, alpn=ISTIO).status == 0
        assert not mesh.script.seen
        # Its callers know: they do not even try.
        assert calls.request(mesh.pod("client").outbound(8080), "GET", "/x", host="backend").status == 200
        assert not mesh.script.seen[0].all("x-forwarded-client-cert")


# ---- TCP ports ----


def test_permissive_tcp_passes_foreign_tls_on() -> None:
    """Row 7: plaintext and mutual TLS reach the app as bytes; any other TLS does so unopened."""
    with running(case("07-permissive-tcp")) as mesh:
        place = (mesh.pod("backend").ip, 7000)
        assert calls.exchanged(place, b"hello") == b"echo hello"
        known = calls.tls_context(mesh.authority, mesh.identity("client"), ("istio",))
        assert calls.exchanged(place, b"hello", known) == b"echo hello"
        mesh.script.clear()
        with pytest.raises(OSError, match="SSL"):
            calls.exchanged(place, b"hello", calls.tls_context(mesh.authority, None, ("http/1.1",)))
        assert mesh.script.seen[0].body.startswith(b"\x16\x03"), "the handshake itself is to reach the app"


def test_strict_tcp_takes_mutual_tls_alone() -> None:
    """Row 8: plaintext finds no chain, a caller without a certificate fails, one with it is passed on."""
    with running(case("08-strict-tcp")) as mesh:
        place = (mesh.pod("backend").ip, 7000)
        assert calls.unanswered(place, b"hello")
        assert calls.unanswered(place, b"hello", calls.tls_context(mesh.authority, None, ("istio",)))
        assert not mesh.script.seen
        wait_until("NR in the log", lambda: any(access["response_flags"] == "NR" for access in _log(mesh)))
        known = calls.tls_context(mesh.authority, mesh.identity("client"), ("istio",))
        assert calls.exchanged(place, b"hello", known) == b"echo hello"


def test_a_port_of_no_service_is_closed() -> None:
    """Row 9: where nothing captures connections, a port that no Service leads to has nobody who listens."""
    with running(shop(pod("backend", {"http": 8080, "http-hidden": 9090}, service=False), STRICT)) as mesh:
        assert refuses_connections(mesh.pod("backend").ip, 9090)
        assert refuses_connections(mesh.pod("backend").ip, 8080)


# ---- which mode is active ----


def test_a_port_may_have_a_mode_of_its_own() -> None:
    """Row 10: DISABLE for the workload and STRICT for port 9000, each on its port."""
    with running(case("10-port-level-mtls")) as mesh:
        assert get(mesh, 8000).status == 200
        assert get(mesh, 9000, alpn=ISTIO).status == 200
        mesh.script.clear()
        refused(mesh, get(mesh, 9000), "NR")
        for port in (8000, 9000):  # callers do on each what it asks for
            assert calls.request(mesh.pod("client").outbound(port), "GET", "/x", host="backend").status == 200
        plain, mutual = mesh.script.seen
        assert not plain.all("x-forwarded-client-cert")
        assert mutual.all("x-forwarded-client-cert")


def test_an_unset_port_inherits_the_workloads_mode() -> None:
    """Row 11: UNSET for target port 9000 is the workload's PERMISSIVE; 8000 is STRICT by its target port."""
    with running(case("11-port-level-unset")) as mesh:
        assert get(mesh, 9000).status == 200
        mesh.script.clear()
        refused(mesh, get(mesh, 8000), "NR")


def test_modes_are_inherited_and_the_oldest_wins() -> None:
    """Row 12: STRICT of the mesh holds where the namespace says UNSET; a workload's older PERMISSIVE beats its younger
    DISABLE."""
    with running(case("12-inherited-modes")) as mesh:
        ip = mesh.pod("backend").ip
        with calls.plain_channel(f"{ip}:50051") as plain:
            assert calls.rpc(plain, "/a.B/C").code is grpc.StatusCode.OK
        with calls.channel(ip, 50051, mesh.authority, mesh.identity("client")) as none:
            # gRPC's ALPN h2 is none of Istio's, so the PERMISSIVE port does not take it for a sidecar's.
            assert calls.rpc(none, "/a.B/C").code is grpc.StatusCode.UNAVAILABLE
        with calls.plain_channel(f"{mesh.pod('other').ip}:50051") as plain:
            assert calls.rpc(plain, "/a.B/C").code is grpc.StatusCode.UNAVAILABLE
        assert {seen.pod for seen in mesh.script.seen} == {"backend-0"}


# ---- the caller's side ----


def test_fixed_tls_sends_the_name_that_it_was_given() -> None:
    """Row 15: a subset's ISTIO_MUTUAL with an SNI is sent so; other clusters send Istio's own name."""
    wanted = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: backend, namespace: shop}
spec:
  hosts: [backend]
  http:
  - {match: [{uri: {prefix: /v1}}], route: [{destination: {host: backend, subset: v1}}]}
  - {match: [{uri: {prefix: /v2}}], route: [{destination: {host: backend, subset: v2}}]}"""
    with running(case("15-subset-port-tls", wanted)) as mesh:
        for version in ("v1", "v2"):
            outcome = calls.request(mesh.pod("client").outbound(8080), "GET", f"/{version}", host="backend")
            assert (outcome.status, outcome.json_body["pod"]) == (200, f"backend-{version}-0")

        def names() -> list[str]:
            return [access["requested_server_name"] for v in "12" for access in mesh.pod(f"backend-v{v}").accesses()]

        wait_until("two lines in the log", lambda: len(names()) == 2)
        assert names() == ["custom.sni.com", "outbound_.8080_.v2_.backend.shop.svc.cluster.local"]


def test_a_workloads_mode_reaches_its_callers() -> None:
    """Row 16: callers of a STRICT workload use mutual TLS, those of a DISABLE one do not."""
    with running(case("16-workload-mtls")) as mesh:
        for name in ("backend", "other"):
            with calls.plain_channel(f"unix:{mesh.pod('client').outbound(50051)}", name) as channel:
                assert calls.rpc(channel, "/a.B/C").code is grpc.StatusCode.OK
        assert [bool(seen.all("x-forwarded-client-cert")) for seen in mesh.script.seen] == [True, False]


def test_mutual_tls_against_a_plain_port_is_a_503() -> None:
    """ISTIO_MUTUAL is meant: against a workload that speaks plaintext alone the call fails, and no app sees it."""
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: shop}
spec: {host: backend, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"""
    with running(case("06-disable-http", rule)) as mesh:
        assert calls.request(mesh.pod("client").outbound(8080), "GET", "/x", host="backend").status == 503
        assert not mesh.script.seen


def test_plaintext_to_a_strict_port_is_a_503_and_not_repeated() -> None:
    """tls DISABLE against STRICT: 503 with flag UC, after one try."""
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: shop}
spec: {host: backend, trafficPolicy: {tls: {mode: DISABLE}}}"""
    with running(case("01-strict-http", rule)) as mesh:
        assert calls.request(mesh.pod("client").outbound(80), "GET", "/x", host="backend").status == 503
        line = wait_until("a line in the log", mesh.pod("client").accesses)[0]
        assert line["response_flags"] == "UC"
        assert not mesh.script.seen


def test_a_callee_of_another_name_is_refused() -> None:
    """A client's Envoy insists on the service's own accounts: a pod with another identity is not spoken to."""
    with running(case("01-strict-http")) as mesh:
        backend = mesh.pod("backend")
        impostor = identities.CertificateRequest(
            backend.folder.certificates, "spiffe://cluster.local/ns/shop/sa/client"
        )
        identities.write(mesh.authority, impostor)
        place = (backend.ip, 8080)
        context = calls.tls_context(mesh.authority, mesh.identity("client"), ISTIO)

        def served() -> bool:
            with calls.connected(place, context) as connection:
                assert isinstance(connection, ssl.SSLSocket)
                certificate = connection.getpeercert()
            return "spiffe://cluster.local/ns/shop/sa/client" in str(certificate)

        wait_until("the other identity", served)
        assert calls.request(mesh.pod("client").outbound(80), "GET", "/x", host="backend").status == 503
        assert stat(mesh, "fail_verify_san", "client") >= 1
        assert not mesh.script.seen
