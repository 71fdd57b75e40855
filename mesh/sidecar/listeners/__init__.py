"""Ports as Envoy's listeners: inbound, outbound, gateways, the connection manager and its filters."""
