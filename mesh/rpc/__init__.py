"""gRPC: the server, the one channel factory, interceptors (one concern a file), and errors on the wire."""
