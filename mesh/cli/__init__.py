"""The `rostrum` command: starts and stops Rostrum on this machine, holds debates, and shows what was said.

Owns what people and scripts see: words, JSON, exit codes. Starting processes is `mesh.local`'s, calling services is
`mesh.rpc`'s; both are reached through the seam `world.World`, which tests fill with in-process services.
"""
