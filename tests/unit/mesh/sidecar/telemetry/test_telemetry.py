"""Telemetry: what is traced, logged and counted, which scope says so, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.sidecar.mesh import Mesh
from mesh.sidecar.resources import as_dict
from mesh.sidecar.telemetry import metrics
from mesh.sidecar.telemetry.access_logs import make_access_logs
from mesh.sidecar.telemetry.scopes import Direction
from mesh.sidecar.telemetry.tracing import make_tracing
from tests.unit.mesh.sidecar.serving import deployment, document, listener, mesh_of, refusal

COLLECTOR = ("collector.shop.svc.cluster.local", 4317)
BACKEND = {"matchLabels": {"app": "backend"}}
ENVOY = {"providers": [{"name": "envoy"}]}


def _telemetry(name: str = "case", namespace: str = "shop", **spec: Any) -> Any:
    return document("Telemetry", spec, name, namespace)


def _traced(*documents: Any, direction: Direction = "inbound") -> dict[str, Any] | None:
    mesh = mesh_of(*documents, otlp_collector=COLLECTOR)
    found = make_tracing(mesh, mesh.workloads["shop", "backend"], direction)
    return None if found is None else as_dict(found)


def _sampling(*documents: Any, direction: Direction = "inbound") -> float | None:
    found = _traced(*documents, direction=direction)
    return None if found is None else float(found["randomSampling"].get("value", 0))


def _logs(mesh: Mesh, direction: Direction = "inbound") -> list[dict[str, Any]]:
    return [as_dict(log) for log in make_access_logs(mesh, mesh.workloads["shop", "backend"], direction)]


# --- tracing ----------------------------------------------------------------------------------------------------------


def test_without_a_collector_nothing_is_traced() -> None:
    """There is nowhere to send spans to."""
    mesh = mesh_of(_telemetry(tracing=[{"randomSamplingPercentage": 100}]))
    assert make_tracing(mesh, mesh.workloads["shop", "backend"], "inbound") is None


def test_spans_go_to_the_collector() -> None:
    """By its cluster, under the name that istiod gives the proxy."""
    found = _traced()
    assert found is not None
    config = found["provider"]["typedConfig"]
    assert found["provider"]["name"] == "envoy.tracers.opentelemetry"
    assert config["serviceName"] == "backend.shop"
    cluster = {"clusterName": "outbound|4317||collector.shop.svc.cluster.local", "authority": COLLECTOR[0]}
    assert config["grpcService"]["envoyGrpc"] == cluster
    assert (found["clientSampling"], found["overallSampling"]) == ({"value": 100}, {"value": 100})


@pytest.mark.parametrize("direction", ["inbound", "outbound", "gateway"])
def test_a_gateway_has_a_span_for_each_try(direction: Direction) -> None:
    """A sidecar has one a call."""
    found = _traced(direction=direction)
    assert found is not None
    assert found.get("spawnUpstreamSpan", False) is (direction == "gateway")


def _sampled(percent: float, **more: Any) -> list[dict[str, Any]]:
    return [{"randomSamplingPercentage": percent, **more}]


@pytest.mark.parametrize(
    ("root", "namespace", "workload", "expected"),
    [
        (None, None, None, 1.0),
        (50, None, None, 50),
        (50, 20, None, 20),
        (50, 20, 0, 0),
        (None, None, 12.5, 12.5),
    ],
)
def test_the_narrower_scope_samples(
    root: float | None, namespace: float | None, workload: float | None, expected: float
) -> None:
    """Workload, then namespace, then root namespace, then istiod's 1 %."""
    said = [
        *([] if root is None else [_telemetry(namespace="istio-system", tracing=_sampled(root))]),
        *([] if namespace is None else [_telemetry(tracing=_sampled(namespace))]),
        *([] if workload is None else [_telemetry("own", selector=BACKEND, tracing=_sampled(workload))]),
    ]
    assert _sampling(*said) == expected


def test_a_scope_that_does_not_name_it_leaves_it() -> None:
    """A narrower one about logs says nothing of traces, one about tags nothing of sampling."""
    wide = _telemetry(namespace="istio-system", tracing=_sampled(50))
    narrow = _telemetry(accessLogging=[ENVOY], tracing=[{"customTags": {"a": {"literal": {"value": "b"}}}}])
    assert _sampling(wide, narrow) == 50


@pytest.mark.parametrize(
    ("mode", "expected"), [("SERVER", (7, 1)), ("CLIENT", (1, 7)), ("CLIENT_AND_SERVER", (7, 7)), (None, (7, 7))]
)
def test_a_side_of_the_call(mode: str | None, expected: tuple[float, float]) -> None:
    """SERVER is inbound, CLIENT what the pod calls; both if nothing is said."""
    match = {} if mode is None else {"match": {"mode": mode}}
    said = _telemetry(tracing=_sampled(7, **match))
    assert (_sampling(said), _sampling(said, direction="outbound")) == expected
    assert _sampling(said, direction="gateway") == expected[1]


def test_spans_may_be_switched_off_and_on() -> None:
    """The narrower scope has the last word."""
    off = _telemetry(namespace="istio-system", tracing=[{"disableSpanReporting": True}])
    on = _telemetry(tracing=[{"disableSpanReporting": False}])
    assert _traced(off) is None
    assert _traced(off, on) is not None


def test_tags() -> None:
    """Istio's own by labels, and those of the Telemetry, by name."""
    tags = {"z": {"literal": {"value": "1"}}, "a": {"header": {"name": "x-a", "defaultValue": "none"}}}
    found = _traced(_telemetry(tracing=[{"customTags": tags}]))
    assert found is not None
    by_name = {tag["tag"]: tag for tag in found["customTags"]}
    assert list(by_name) == sorted(by_name)
    assert by_name["z"]["literal"] == {"value": "1"}
    assert by_name["a"]["requestHeader"] == {"name": "x-a", "defaultValue": "none"}
    own = {name: tag["literal"]["value"] for name, tag in by_name.items() if "literal" in tag and name != "z"}
    assert own == {
        "istio.canonical_service": "backend",
        "istio.canonical_revision": "latest",
        "istio.namespace": "shop",
        "istio.mesh_id": "cluster.local",
        "istio.cluster_id": "Kubernetes",
    }


def test_istios_tags_may_be_left_out() -> None:
    """By enableIstioTags."""
    found = _traced(_telemetry(tracing=[{"enableIstioTags": False}]))
    assert found is not None
    assert "customTags" not in found


@pytest.mark.parametrize(
    ("labels", "service", "revision", "name"),
    [
        ({}, "named", "latest", "named.shop"),
        ({"app": "a", "version": "v"}, "a", "v", "a.shop"),
        ({"app.kubernetes.io/name": "k", "app.kubernetes.io/version": "w"}, "k", "w", "named.shop"),
        (
            {"service.istio.io/canonical-name": "c", "service.istio.io/canonical-revision": "r", "version": "v"},
            "c",
            "r",
            "named.shop",
        ),
    ],
)
def test_names_come_from_labels(labels: dict[str, str], service: str, revision: str, name: str) -> None:
    """Canonical name, then Kubernetes' own, then app; the proxy itself is called by app first."""
    pod = deployment("named")
    pod["spec"]["template"]["metadata"]["labels"] |= labels
    mesh = mesh_of(pod, otlp_collector=COLLECTOR)
    tracing = make_tracing(mesh, mesh.workloads["shop", "named"], "inbound")
    assert tracing is not None
    found = as_dict(tracing)
    tags = {tag["tag"]: tag.get("literal", {}).get("value") for tag in found["customTags"]}
    assert (tags["istio.canonical_service"], tags["istio.canonical_revision"]) == (service, revision)
    assert found["provider"]["typedConfig"]["serviceName"] == name


# --- access logs ------------------------------------------------------------------------------------------------------


def test_nothing_is_logged_unasked() -> None:
    """Neither calls nor refused connections."""
    mesh = mesh_of()
    assert _logs(mesh) == []
    assert "accessLog" not in listener(mesh)


def test_calls_are_logged_as_json() -> None:
    """To standard output, with istiod's keys."""
    (found,) = _logs(mesh_of(_telemetry(accessLogging=[ENVOY])))
    config = found["typedConfig"]
    assert (found["name"], config["path"]) == ("envoy.access_loggers.file", "/dev/stdout")
    keys = config["logFormat"]["jsonFormat"]
    assert keys["path"] == "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
    assert keys["upstream_cluster"] == "%UPSTREAM_CLUSTER_RAW%"
    assert len(keys) == 24


def test_a_connection_that_no_chain_takes_is_logged_by_its_listener() -> None:
    """By its flag NR."""
    (found,) = listener(mesh_of(_telemetry(accessLogging=[ENVOY])))["accessLog"]
    assert found["filter"] == {"responseFlagFilter": {"flags": ["NR"]}}


def test_a_filter() -> None:
    """A CEL expression; the listener asks for both."""
    mesh = mesh_of(_telemetry(accessLogging=[{**ENVOY, "filter": {"expression": "response.code >= 400"}}]))
    (found,) = _logs(mesh)
    assert found["filter"]["extensionFilter"]["name"] == "envoy.access_loggers.extension_filters.cel"
    assert found["filter"]["extensionFilter"]["typedConfig"]["expression"] == "response.code >= 400"
    (refused,) = listener(mesh)["accessLog"]
    assert refused["filter"]["andFilter"]["filters"] == [{"responseFlagFilter": {"flags": ["NR"]}}, found["filter"]]


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (ENVOY, None, True),
        (ENVOY, {"disabled": True}, False),
        ({**ENVOY, "disabled": True}, ENVOY, True),
        (ENVOY, {"match": {"mode": "CLIENT"}, "disabled": True}, True),
        ({"match": {"mode": "CLIENT"}, **ENVOY}, None, False),
        ({"disabled": False}, None, False),
        ({**ENVOY, "disabled": True}, {"disabled": False}, True),
    ],
)
def test_the_narrower_scope_logs(wide: dict[str, Any], narrow: dict[str, Any] | None, expected: bool) -> None:  # noqa: FBT001
    """It may switch it off or on for its side; without a provider it is for the one named before."""
    said = [_telemetry(namespace="istio-system", accessLogging=[wide])]
    said += [] if narrow is None else [_telemetry(accessLogging=[narrow])]
    assert bool(_logs(mesh_of(*said))) is expected


def test_the_filter_is_that_of_the_last_who_names_the_provider() -> None:
    """One that only switches it on again has none."""
    wide = _telemetry(namespace="istio-system", accessLogging=[{**ENVOY, "filter": {"expression": "true"}}])
    (found,) = _logs(mesh_of(wide, _telemetry(accessLogging=[{}])))
    assert found["filter"]["extensionFilter"]["typedConfig"]["expression"] == "true"
    (found,) = _logs(mesh_of(wide, _telemetry(accessLogging=[ENVOY])))
    assert "filter" not in found


# --- metrics ----------------------------------------------------------------------------------------------------------

LABELS = {
    *(f"{side}_{name}" for side in ("source", "destination") for name in (
        "workload", "workload_namespace", "principal", "app", "version", "canonical_service", "canonical_revision",
        "cluster",
    )),
    *("reporter", "destination_service", "destination_service_name", "destination_service_namespace"),
    *("request_protocol", "response_code", "grpc_response_status", "response_flags", "connection_security_policy"),
}  # fmt: skip


def _counted(direction: Direction, *, mutual_tls: bool = False) -> list[dict[str, Any]]:
    mesh = mesh_of()
    (service,) = mesh.services_of(mesh.workloads["shop", "backend"])
    logs = metrics.make_http_logs(
        mesh, mesh.workloads["shop", "backend"], direction, service=service, mutual_tls=mutual_tls
    )
    return [as_dict(log) for log in logs]


def _labels(log: dict[str, Any]) -> dict[str, str]:
    (counter,) = log["typedConfig"]["value"]["counters"]
    return {tag["name"]: tag["valueFormat"] for tag in counter["stat"]["tags"]}


@pytest.mark.parametrize("direction", ["inbound", "outbound", "gateway"])
def test_calls_are_counted_by_istios_labels(direction: Direction) -> None:
    """Once each, and their milliseconds; a label without a value would be refused by Envoy."""
    for log in _counted(direction):
        config = log["typedConfig"]["value"]
        assert config["statsScope"] == {"prefix": "istio"}
        (counter,), (histogram,) = config["counters"], config["histograms"]
        assert (counter["stat"]["name"], counter["valueFixed"]) == ("requests_total", "1")
        assert histogram["stat"]["name"] == "request_duration_milliseconds"
        assert (histogram["unit"], histogram["valueFormat"]) == ("Milliseconds", "%DURATION%")
        assert _labels(log).keys() == LABELS
        assert all(_labels(log).values())


def test_grpc_is_distinguished_by_its_content_type() -> None:
    """Each call is in one of the two."""
    grpc, other = _counted("inbound")
    headers = [log["filter"]["headerFilter"]["header"] for log in (grpc, other)]
    assert [header["stringMatch"] for header in headers] == [{"prefix": "application/grpc"}] * 2
    assert [header.get("invertMatch", False) for header in headers] == [False, True]
    assert headers[1]["treatMissingHeaderAsEmpty"] is True
    assert [_labels(log)["request_protocol"] for log in (grpc, other)] == ["grpc", "http"]


@pytest.mark.parametrize(
    ("mutual_tls", "policy", "caller"),
    [(True, "mutual_tls", "%DOWNSTREAM_PEER_URI_SAN%"), (False, "none", "unknown")],
)
def test_the_server_knows_its_caller_by_certificate(*, mutual_tls: bool, policy: str, caller: str) -> None:
    """And itself by name."""
    labels = _labels(_counted("inbound", mutual_tls=mutual_tls)[0])
    assert (labels["reporter"], labels["connection_security_policy"]) == ("destination", policy)
    assert (labels["source_principal"], labels["source_workload"]) == (caller, "unknown")
    assert labels["destination_service"] == "backend.shop.svc.cluster.local"
    assert labels["destination_workload"] == "backend"


def test_the_client_knows_whom_it_called() -> None:
    """By the metadata of clusters and endpoints."""
    labels = _labels(_counted("outbound")[0])
    assert (labels["reporter"], labels["connection_security_policy"]) == ("source", "unknown")
    assert labels["source_principal"] == "spiffe://cluster.local/ns/shop/sa/backend"
    assert labels["destination_service"] == "%CLUSTER_METADATA(istio:service_host)%"
    assert labels["destination_workload"] == "%UPSTREAM_METADATA(istio:workload_name)%"


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"selector": {"matchLabels": {"app": "bakend"}}}, "spec.selector.matchLabels: no workload"),
        ({"accessLogging": [{"providers": [{"name": "otel"}]}]}, "spec.accessLogging[0].providers[0].name: 'otel'"),
        ({"metrics": [{"providers": [{"name": "stackdriver"}]}]}, "spec.metrics[0].providers[0].name: 'stackdriver'"),
        ({"metrics": [{"overrides": []}]}, "spec.metrics[0].overrides: is not translated"),
        ({"tracing": [{"randomSamplingPercentage": 101}]}, "spec.tracing[0].randomSamplingPercentage: "),
        ({"tracing": [{"providers": [{"name": "a"}, {"name": "b"}]}]}, "spec.tracing[0].providers: "),
        ({"tracing": [{"customTags": {"a": {}}}]}, "spec.tracing[0].customTags[a]: one of literal and header"),
        ({"tracing": [{"customTags": {"a": {"environment": {}}}}]}, "environment: is not translated"),
        ({"tracing": [{"useRequestIdForTraceSampling": False}]}, "useRequestIdForTraceSampling: is not translated"),
        ({"tracing": [{"match": {"mode": "BOTH"}}]}, "spec.tracing[0].match.mode: input should be"),
        ({"accessLogging": [{"filter": {"expression": "true"}}]}, "spec.accessLogging[0].filter: has no effect"),
        ({"accessLogging": [{"filter": {"expression": ""}}]}, "spec.accessLogging[0].filter.expression: "),
    ],
)  # fmt: skip
def test_what_is_refused(spec: dict[str, Any], message: str) -> None:
    """By file, document and field."""
    found = refusal(_telemetry(**spec))
    assert found.startswith("case.yaml document 1 (Telemetry case): spec.")
    assert message in found


def test_metrics_of_the_standard_set_are_accepted() -> None:
    """They are counted in any case."""
    mesh_of(_telemetry(metrics=[{"providers": [{"name": "prometheus"}]}]))


def test_a_second_one_for_the_namespace_is_refused() -> None:
    """istiod would take the oldest and say nothing."""
    assert "is for all of shop already" in refusal(_telemetry("one"), _telemetry("two"))
