"""Ports as Envoy's listeners: inbound, outbound, at a gateway; the connection manager and its filters."""
