"""How people write Istio's fields: numbers as text, nulls, old fields, other cases; and what a refusal says of them."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests import ManifestError, read
from mesh.manifests.istio.destination_rule import DestinationRuleSpec
from mesh.manifests.istio.service_entry import ServiceEntrySpec
from mesh.manifests.istio.virtual_service import VirtualServiceSpec
from mesh.manifests.texts import dump_text

TO = [{"destination": {"host": "a"}}]


def document(kind: str, spec: dict[str, Any]) -> str:
    group = "security" if kind.endswith(("Authentication", "Policy")) else "networking"
    metadata = {"name": "x", "namespace": "shop"}
    return dump_text({"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec})


def rule(**fields: Any) -> str:
    return document("VirtualService", {"hosts": ["a"], "http": [{"route": TO, **fields}]})


def policy(**fields: Any) -> str:
    return document("DestinationRule", {"host": "a", "trafficPolicy": fields})


def refusal(text: str) -> str:
    with pytest.raises(ManifestError) as error:
        read({"x.yaml": text}, "shop")
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rule(delegate={"name": "b"}), "http[0].delegate: is not translated: write the rules of that VirtualService"),
        (document("VirtualService", {"http": [{"route": TO}]}), "hosts: without hosts it is a delegate"),
        (rule(mirrorPercent=5), "http[0].mirrorPercent: is deprecated: write mirrorPercentage"),
        (rule(appendHeaders={}), "write headers, with request.add"),
        (rule(websocketUpgrade=True), "was removed, WebSockets are always passed on"),
        (rule(corsPolicy={"allowOrigin": ["*"]}), "corsPolicy.allowOrigin: was replaced: write allowOrigins"),
        (rule(fault={"abort": {"percent": 5, "httpStatus": 500}}), "abort.percent: is deprecated: write percentage"),
        (rule(route=[{"destination": {"host": "a", "port": {"name": "http"}}}]), "a port is named by its number"),
        (rule(redirect={"prefixRewrite": "/"}), "redirect.prefixRewrite: is not translated: write uri"),
        (policy(outlierDetection={"consecutiveErrors": 5}), "write consecutive5xxErrors"),
        (policy(loadBalancer={"warmupDurationSecs": "1s"}), "write warmup, with duration"),
        (document("ServiceEntry", {"hosts": ["a.b"], "discovery": "DNS"}), "discovery: was replaced: write resolution"),
        (document("PeerAuthentication", {"peers": [{"mtls": {}}]}), "peers: is of the kind Policy, which was removed"),
        (document("RequestAuthentication", {"jwtRules": [{"issuer": "a", "jwtHeaders": ["x"]}]}), "write fromHeaders"),
        (rule(per_try_timeout="1s", time_out="1s"), "http[0]."),
        (rule(Timeout="1s"), "did you mean timeout?"),
        (rule(retry={}), "known here: "),
        (document("VirtualService", {"hosts": ["a"], "export_to": ["."], "http": [{"route": TO}]}), "mean exportTo?"),
    ],
)
def test_a_refusal_names_the_successor(text: str, message: str) -> None:
    """Of a field that was removed or replaced, or is written otherwise."""
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("value", "what"),
    [(True, "a bool, as which YAML reads yes"), (1, "a number"), (1.5, "a number"), ([], "valid string")],
)
def test_a_text_is_put_in_quotes(value: object, what: str) -> None:
    """What YAML reads as a bool or a number is no text, as to the API server."""
    said = refusal(rule(match=[{"uri": {"exact": value}}]))
    assert what in said
    assert ("put it in quotes" in said) == (value != [])


def test_nulls_are_absent() -> None:
    """Anywhere in a mapping; an entry of a list that is null is refused."""
    (found,) = read({"x.yaml": rule(match=None, retries=None, headers={"request": None})}, "shop").of(
        VirtualServiceSpec
    )
    assert (found.spec.http[0].match, found.spec.http[0].retries) == ((), None)
    assert "http[0].mirrors[0]: input should be an object, not None" in refusal(rule(mirrors=[None]))


@pytest.mark.parametrize("number", [8080, "8080", 8080.0, " 8080"])
def test_numbers_may_be_text(number: object) -> None:
    """As istiod's reader takes them."""
    pool = {"tcp": {"maxConnections": number}}
    (found,) = read({"x.yaml": policy(connectionPool=pool)}, "shop").of(DestinationRuleSpec)
    assert found.spec.traffic_policy is not None
    assert found.spec.traffic_policy.connection_pool is not None
    assert found.spec.traffic_policy.connection_pool.tcp.max_connections == 8080


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("http", "HTTP"),
        ("HTTPS", "HTTPS"),
        ("gRPC-Web", "GRPC-Web"),
        ("MONGO", "Mongo"),
        (None, "unsupported"),
        ("", "unsupported"),
    ],
)
def test_a_protocol_in_any_case(said: str | None, meant: str) -> None:
    """None is found out by the first bytes, as of a Service's port whose name says nothing; the name is not asked."""
    port = {"number": 80, "name": "http-a", "protocol": said}
    (found,) = read({"x.yaml": document("ServiceEntry", {"hosts": ["a.b"], "ports": [port]})}, "shop").of(
        ServiceEntrySpec
    )
    assert found.spec.ports[0].as_service_port.protocol.value == meant
    assert found.spec.by_dns
