"""Server interceptors, one concern a file; `mesh.rpc.server` puts them in order."""
