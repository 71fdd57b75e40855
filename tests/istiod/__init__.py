"""The translator held to istiod: the same manifests both ways, compared field by field."""
