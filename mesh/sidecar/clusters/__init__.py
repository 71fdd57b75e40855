"""Hosts as Envoy's clusters and endpoints: connections, outliers, balancing, TLS to others, and the app itself."""
