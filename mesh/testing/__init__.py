"""Doubles that ship with the package, for its own tests and those of its users. No product path imports this."""
