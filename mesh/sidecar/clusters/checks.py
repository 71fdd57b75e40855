"""What a DestinationRule may not say: what istiod or Envoy would refuse, or pass over without a word.

Called by `mesh.sidecar.checks`. What is a matter of one field's type or range is in the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mesh.manifests.istio.destination_rule import DestinationRuleSpec, Subset, host_of
from mesh.sidecar.hosts import all_hosts, check_export, hosts_named, takes
from mesh.sidecar.mesh import selects

if TYPE_CHECKING:
    from mesh.manifests.document import Resource
    from mesh.manifests.istio.traffic_policy import (
        ClientTls,
        ConnectionPool,
        ConsistentHash,
        LoadBalancer,
        OutlierDetection,
        PortPolicy,
        TrafficPolicy,
    )
    from mesh.sidecar.hosts import Host
    from mesh.sidecar.mesh import Mesh


def check_destination_rule(mesh: Mesh, rule: Resource[DestinationRuleSpec]) -> None:
    """Raises ManifestError."""
    hosts = _hosts(mesh, rule)
    _check_export(mesh, rule)
    if rule.spec.traffic_policy is not None:
        _check_policy(mesh, rule, "trafficPolicy", rule.spec.traffic_policy, hosts)
    seen: set[str] = set()
    for number, subset in enumerate(rule.spec.subsets):
        if subset.name in seen:
            raise rule.refuse(f"subsets[{number}].name", f"{subset.name} is said twice: give each subset its own name")
        seen.add(subset.name)
        _check_subset(mesh, rule, f"subsets[{number}]", subset, hosts)


def _hosts(mesh: Mesh, rule: Resource[DestinationRuleSpec]) -> Sequence[Host]:
    wanted = host_of(rule)
    found = hosts_named(mesh, wanted) or [host for host in all_hosts(mesh) if takes(wanted, host.name)]
    if found:
        return found
    known = list(all_hosts(mesh))
    if "." in rule.spec.host:
        near = [host.name for host in known if host.name.startswith(f"{rule.spec.host}.")]
        hint = f": write {near[0]}" if near else ": correct it, or add the Service or ServiceEntry"
    else:
        own = sorted(host.name.split(".")[0] for host in known if host.namespace == rule.namespace)
        hint = f": {rule.namespace} has {', '.join(own) or 'none'}; a host of another namespace needs its full name"
    raise rule.refuse("host", f"there is no host {wanted}{hint}")


def _check_export(mesh: Mesh, rule: Resource[DestinationRuleSpec]) -> None:
    check_export(mesh, rule, rule.spec.export_to)
    if set(rule.spec.export_to) == {"*"}:
        return
    for other in mesh.within(DestinationRuleSpec, rule.namespace):
        if host_of(other) == host_of(rule) and set(other.spec.export_to) != set(rule.spec.export_to):
            raise rule.refuse("exportTo", f"{other.where} exports the same host elsewhere: say the same in both")


def _check_subset(
    mesh: Mesh, rule: Resource[DestinationRuleSpec], path: str, subset: Subset, hosts: Sequence[Host]
) -> None:
    known = [labels for host in hosts for labels in _labels(mesh, host)]
    if not any(selects(subset.labels, labels) for labels in known):
        have = "; ".join(sorted({", ".join(f"{k}={v}" for k, v in sorted(labels.items())) for labels in known}))
        raise rule.refuse(f"{path}.labels", f"select no workload of {host_of(rule)} (which have {have or 'none'})")
    if subset.traffic_policy is not None:
        _check_policy(mesh, rule, f"{path}.trafficPolicy", subset.traffic_policy, hosts)


def _labels(mesh: Mesh, host: Host) -> Iterator[Mapping[str, str]]:
    if host.service is not None:
        yield from (workload.labels for workload in mesh.workloads_of(host.service))
    elif host.entry is not None:
        yield from (endpoint.labels for endpoint in host.entry.spec.endpoints_of(host.name))


def _check_policy(
    mesh: Mesh, rule: Resource[DestinationRuleSpec], path: str, policy: TrafficPolicy, hosts: Sequence[Host]
) -> None:
    if not policy.port_level_settings:
        _check_blocks(mesh, rule, path, policy)
    else:
        _check_blocks(mesh, rule, path, policy, may_be_empty=True)
    ports = {port.number for host in hosts for port in host.ports}
    seen: set[int] = set()
    for number, settings in enumerate(policy.port_level_settings):
        below = f"{path}.portLevelSettings[{number}]"
        if settings.port.number not in ports:
            have = ", ".join(str(port) for port in sorted(ports))
            raise rule.refuse(
                f"{below}.port.number", f"{settings.port.number} is no port of the host, which has {have}"
            )
        if settings.port.number in seen:
            raise rule.refuse(
                f"{below}.port.number", f"{settings.port.number} is said twice, and the first counts: join them"
            )
        seen.add(settings.port.number)
        _check_blocks(mesh, rule, below, settings)


def _check_blocks(
    mesh: Mesh,
    rule: Resource[DestinationRuleSpec],
    path: str,
    policy: TrafficPolicy | PortPolicy,
    *,
    may_be_empty: bool = False,
) -> None:
    pool, outliers, balancer, tls = (
        policy.connection_pool,
        policy.outlier_detection,
        policy.load_balancer,
        policy.tls,
    )
    if pool is None and outliers is None and balancer is None and tls is None and not may_be_empty:
        raise rule.refuse(path, "is empty: say connectionPool, outlierDetection, loadBalancer or tls, or remove it")
    if pool is not None:
        _check_pool(rule, f"{path}.connectionPool", pool)
    if outliers is not None:
        _check_outliers(rule, f"{path}.outlierDetection", outliers)
    if balancer is not None:
        _check_balancer(rule, f"{path}.loadBalancer", balancer)
    if tls is not None:
        _check_tls(mesh, rule, f"{path}.tls", tls)


def _check_pool(rule: Resource[DestinationRuleSpec], path: str, pool: ConnectionPool) -> None:
    if "tcp" not in pool.model_fields_set and "http" not in pool.model_fields_set:
        raise rule.refuse(path, "is empty: say tcp or http, or remove it")
    if pool.http.use_client_protocol and pool.http.h2_upgrade_policy == "UPGRADE":
        raise rule.refuse(f"{path}.http.h2UpgradePolicy", "UPGRADE is passed over with useClientProtocol: remove one")


def _check_outliers(rule: Resource[DestinationRuleSpec], path: str, said: OutlierDetection) -> None:
    if said.consecutive_local_origin_failures and not said.split_external_local_origin_errors:
        raise rule.refuse(
            f"{path}.consecutiveLocalOriginFailures", "is passed over: add splitExternalLocalOriginErrors: true"
        )


def _check_balancer(rule: Resource[DestinationRuleSpec], path: str, said: LoadBalancer) -> None:
    if said.simple is None and said.consistent_hash is None and said.warmup is None:
        raise rule.refuse(path, "is empty: say simple, consistentHash or warmup, or remove it")
    if said.simple is not None and said.consistent_hash is not None:
        raise rule.refuse(path, "simple and consistentHash exclude each other: remove one")
    if said.warmup is not None and (said.consistent_hash is not None or said.simple == "RANDOM"):
        raise rule.refuse(f"{path}.warmup", "is passed over: it needs simple: ROUND_ROBIN or LEAST_REQUEST")
    if said.consistent_hash is not None:
        _check_hash(rule, f"{path}.consistentHash", said.consistent_hash)


def _check_hash(rule: Resource[DestinationRuleSpec], path: str, said: ConsistentHash) -> None:
    keys = (said.http_header_name, said.http_cookie, said.use_source_ip, said.http_query_parameter_name)
    if sum(bool(key) for key in keys) != 1:
        what = "httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName"
        raise rule.refuse(path, f"exactly one of {what} says what is hashed")
    rings = (said.ring_hash, said.maglev, said.minimum_ring_size or None)
    if sum(ring is not None for ring in rings) > 1:
        raise rule.refuse(path, "ringHash, maglev and minimumRingSize exclude each other: leave one")
    if said.maglev is not None and not _is_prime(said.maglev.table_size):
        raise rule.refuse(f"{path}.maglev.tableSize", f"{said.maglev.table_size} is no prime: write one such as 65537")


def _is_prime(number: int) -> bool:
    """As Envoy has it, for whom 1 is one."""
    return number > 0 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _check_tls(mesh: Mesh, rule: Resource[DestinationRuleSpec], path: str, tls: ClientTls) -> None:
    files = {
        "clientCertificate": tls.client_certificate,
        "privateKey": tls.private_key,
        "caCertificates": tls.ca_certificates,
    }
    needed = {"clientCertificate", "privateKey"} if tls.mode == "MUTUAL" else set()
    if tls.insecure_skip_verify and (tls.ca_certificates or tls.subject_alt_names):
        what = "verifies nothing, so caCertificates and subjectAltNames have no effect: remove it, or them"
        raise rule.refuse(f"{path}.insecureSkipVerify", what)
    is_simple, is_own = tls.mode == "SIMPLE", tls.mode in {"SIMPLE", "MUTUAL"}
    for name, value in files.items():
        if name in needed and not value:
            raise rule.refuse(f"{path}.{name}", f"is missing: mode {tls.mode} needs the path of that file")
        if value and tls.mode != "MUTUAL" and not (is_simple and name == "caCertificates"):
            raise rule.refuse(f"{path}.{name}", f"is not used in mode {tls.mode}: remove it, or write mode: MUTUAL")
    for name, said in (("sni", tls.sni), ("subjectAltNames", tls.subject_alt_names)):
        if tls.mode == "DISABLE" and said:
            raise rule.refuse(f"{path}.{name}", "is not used in mode DISABLE: remove it")
    if tls.insecure_skip_verify and tls.mode in {"DISABLE", "ISTIO_MUTUAL"}:
        raise rule.refuse(f"{path}.insecureSkipVerify", f"is not used in mode {tls.mode}: remove it")
    if is_own and not (tls.ca_certificates or tls.insecure_skip_verify or mesh.settings.system_ca_file):
        what = "is missing, and this system has no file of certificate authorities: name one"
        raise rule.refuse(f"{path}.caCertificates", what)
    for number, name in enumerate(tls.subject_alt_names):
        if tls.mode == "ISTIO_MUTUAL" and not name.startswith("spiffe://"):
            raise rule.refuse(f"{path}.subjectAltNames[{number}]", f"{name} is no identity: write spiffe://...")
