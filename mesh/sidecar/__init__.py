"""Kubernetes and Istio YAML to the configuration of one upstream Envoy per pod, with istiod's names and defaults.

Pure functions but for `certificates`: texts in, Envoy's own typed messages out. `reading.load` reads and checks the
texts, `translate.translate` makes one proxy's resources; one module per Istio kind says what its fields become. What is
not translated is refused by file, document and field, never ignored. `mesh.local` writes it all and runs the Envoys.
"""
