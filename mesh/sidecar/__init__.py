"""Kubernetes and Istio YAML to the configuration of one upstream Envoy per pod, with istiod's names and defaults.

In: texts by file name (`reading.load` makes a `mesh.Mesh` of them), and for one pod a `proxy.Proxy` and the
`proxy.Addresses` of all. Out: `translate.translate` returns `resources.Resources`, lists of Envoy's own messages:

    mesh = load({"shop.yaml": text}, MeshSettings())
    resources = translate(mesh, proxy, addresses)       # .listeners .clusters .routes .endpoints
    text = file_text(resources.listeners)               # what Envoy reads by path_config_source

Pure: no file, process or clock. The packages are named for their subject; the README beside this file has the table of
which of Istio's fields becomes what, where, and which test shows it. What is not translated is refused by file,
document and field, never ignored. Owns neither certificates nor processes: `mesh.local` writes the files and runs the
Envoys.
"""
