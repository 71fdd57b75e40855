"""Hosts as Envoy's clusters and endpoints: DestinationRules, traffic policies, outliers, TLS to others."""
