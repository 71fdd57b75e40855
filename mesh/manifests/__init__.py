"""The reader of YAML: documents, typed resources, overlay, and refusals by file, document and field."""
