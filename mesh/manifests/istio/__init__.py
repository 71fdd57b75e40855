"""Istio's resources: the model of each kind's spec, one module a kind. What they become is for `mesh.sidecar`."""
