"""What an Envoy is started with."""

from __future__ import annotations

import re

import pytest

from mesh.sidecar.bootstrap import bootstrap
from mesh.sidecar.proxy import Endpoint
from mesh.sidecar.resources import as_dict

FOUND = as_dict(bootstrap("backend-0", "backend", Endpoint(path="admin.sock")))


def test_it_says_who_it_is() -> None:
    """By replica, and by workload."""
    assert FOUND["node"] == {"id": "backend-0", "cluster": "backend"}


def test_all_else_is_in_files() -> None:
    """Of its own working folder."""
    resources = FOUND["dynamicResources"]
    assert resources["ldsConfig"]["pathConfigSource"] == {"path": "./listeners.json"}
    assert resources["cdsConfig"]["pathConfigSource"] == {"path": "./clusters.json"}
    assert "staticResources" not in FOUND


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Endpoint(path="admin.sock"), {"pipe": {"path": "admin.sock", "mode": 0o600}}),
        (Endpoint("127.0.0.1", 15000), {"socketAddress": {"address": "127.0.0.1", "portValue": 15000}}),
    ],
)
def test_its_administration(place: Endpoint, expected: object) -> None:
    """A socket is for its owner alone."""
    assert as_dict(bootstrap("a", "b", place))["admin"] == {"address": expected}


def test_runtime() -> None:
    """Istio's flags, below those that are set by hand."""
    first, last = FOUND["layeredRuntime"]["layers"]
    assert first["staticLayer"] == {
        "re2.max_program_size.error_level": 32768,
        "envoy.reloadable_features.http_reject_path_with_fragment": False,
    }
    assert last == {"name": "admin", "adminLayer": {}}


@pytest.mark.parametrize(
    ("stat", "name", "labels"),
    [
        (
            "cluster.outbound|80||a.shop.svc.cluster.local;.upstream_rq_503",
            "cluster.upstream_rq",
            {"cluster_name": "outbound|80||a.shop.svc.cluster.local", "response_code": "503"},
        ),
        (
            "http.inbound_0.0.0.0_80;.rbac.denied",
            "http.rbac",
            {"http_conn_manager_prefix": "inbound_0.0.0.0_80", "authz_enforce_result": "denied"},
        ),
        ("http.admin.downstream_rq_2xx", "http.admin.downstream_rq", {"response_code_class": "2xx"}),
    ],
)
def test_statistics_have_labels(stat: str, name: str, labels: dict[str, str]) -> None:
    """A host's dots stay in its label. Each tag's first group leaves the name, its second is the value."""
    assert FOUND["statsConfig"]["useAllDefaultTags"] is False
    found = {}
    for tag in FOUND["statsConfig"]["statsTags"]:
        match = re.search(tag["regex"], stat)
        if match:
            found[tag["tagName"]] = match[2]
            stat = stat.replace(match[1], "")
    assert (stat, found) == (name, labels)
