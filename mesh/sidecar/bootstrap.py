"""What an Envoy is started with: who it is, where its administration listens, and in which files all else is.

Owns runtime flags and how statistics are named. `mesh.local.envoy` writes the file, and starts
and drains the process. Source: istio/istio tools/packaging/common/envoy_bootstrap.json, pkg/bootstrap/config.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.metrics.v3 import stats_pb2
from google.protobuf import wrappers_pb2

from mesh.sidecar.messages import to_address
from mesh.sidecar.sources import config_source

if TYPE_CHECKING:
    from mesh.sidecar.proxy import Endpoint

_RUNTIME = {
    # How long a regular expression of a policy may get: of its compiled form, Envoy's own default is 100.
    "re2.max_program_size.error_level": 32768,
    # A path with a fragment is served without it, as on a cluster, and not refused.
    "envoy.reloadable_features.http_reject_path_with_fragment": False,
}
_STAT_TAGS = {
    # Names given by us end in ";", which no name has within: so a host's dots stay in the label.
    "cluster_name": r"^cluster\.((.+?);\.)",
    "http_conn_manager_prefix": r"^http\.((.+?);\.)",
    "response_code": r"_rq(_(\d{3}))$",
    "response_code_class": r"_rq(_(\dxx))$",
    "authz_enforce_result": r"rbac(\.(allowed|denied))",
}
"""Labels by the expression whose first group is taken out of the name, and whose second is the value."""


def bootstrap(proxy_id: str, cluster: str, admin: Endpoint) -> bootstrap_pb2.Bootstrap:
    """The bootstrap of one Envoy. `admin`: where /stats and the like are served; other paths are in `sources`."""
    found = bootstrap_pb2.Bootstrap(
        node=base_pb2.Node(id=proxy_id, cluster=cluster),
        admin=bootstrap_pb2.Admin(address=to_address(admin, pipe_mode=0o600)),
        stats_config=stats_pb2.StatsConfig(
            use_all_default_tags=wrappers_pb2.BoolValue(value=False),
            stats_tags=[stats_pb2.TagSpecifier(tag_name=name, regex=regex) for name, regex in _STAT_TAGS.items()],
        ),
    )
    found.dynamic_resources.lds_config.CopyFrom(config_source("listeners"))
    found.dynamic_resources.cds_config.CopyFrom(config_source("clusters"))
    static = found.layered_runtime.layers.add(name="rostrum")
    static.static_layer.update(_RUNTIME)
    found.layered_runtime.layers.add(name="admin").admin_layer.SetInParent()
    return found
