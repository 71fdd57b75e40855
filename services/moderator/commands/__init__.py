"""The commands of debates in the `rostrum` command, which `services.application` adds: hold, list, show, watch, cancel.

Owns their arguments, words and exit codes. Speaks to the moderator by gRPC like any other client, from the terminal's
process: it never imports the service's logic or store. How a command runs, prints and ends is `mesh.cli`'s.
"""
