"""The one reader of manifests: YAML texts go in, typed resources come out, or one refusal that says where and why.

    files  --read_folders-->  texts by file name
    texts  --parse_documents-->  Document: what one document of a file says, its key, and its text again   (texts)
    documents  --read_documents-->  Resources: each document as the model of its kind                      (reading)

`read` does the last two at once. An `Overlay` (overlay) is what was applied to the files or deleted from them since:
it takes documents and gives documents, so that each text is parsed once. Models are one module a family: `pods` and
`kubernetes`, `strimzi`, and one a kind in `istio`. A field that is added is added to its model, and nowhere else.

What goes in: YAML of several documents, Lists, and what `kubectl get -o yaml` prints (what only the server owns is
dropped, see `server`); kustomizations are passed over. Strict: a kind, version or field that is not in a model is
refused by file, document and field path, never ignored. A field that a cluster alone obeys is a `ClusterOnly` one: it
is accepted and not kept.

What comes out says what the files say, and nothing of whether it can be obeyed: that a host, an account or a topic is
there is checked by those who need it (`mesh.sidecar`, `mesh.local`), in the same words (`Resource.refuse`). The one
error is `ManifestError`.
"""

from __future__ import annotations

from collections.abc import Mapping

from mesh.manifests.document import Resource, Spec
from mesh.manifests.errors import ManifestError
from mesh.manifests.reading import Resources, read_documents
from mesh.manifests.texts import Document, Key, parse_documents, read_folders

__all__ = [
    "Document",
    "Key",
    "ManifestError",
    "Resource",
    "Resources",
    "Spec",
    "parse_documents",
    "read",
    "read_documents",
    "read_folders",
]


def read(texts: Mapping[str, str], namespace: str = "default") -> Resources:
    """Reads the YAML texts by file name. Raises ManifestError.

    `namespace` is that of documents which name none, as kustomize's `namespace:` sets it.
    """
    return read_documents(parse_documents(texts, namespace))
