"""What the source must keep: contracts, generated code, imports. Nothing is started."""
