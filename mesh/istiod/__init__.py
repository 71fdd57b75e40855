"""istiod's own generator beside ours: what Istio would send to each pod for the same manifests.

`oracle/` is a Go program around Istio's discovery code, `building` makes its binary, `generator` asks it. Tests hold
mesh.sidecar to it field by field, and `rostrum config --istiod` shows it; nothing that runs a pod needs it.
"""
