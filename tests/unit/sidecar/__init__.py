"""The translator: manifests in, Envoy's messages out."""
