"""The `rostrum` command: starts and stops Rostrum on this machine, changes its mesh, and asks its agents.

Owns what people and scripts see: words, JSON, exit codes. An application's own commands are registered by
it. Starting processes is `mesh.local`'s, calling services is
`mesh.rpc`'s; both are reached through the seam `world.World`, which tests fill with in-process services.
"""
