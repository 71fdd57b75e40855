"""Runs k8s/base on one machine: processes in place of pods, one Kafka broker, loopback addresses of its own.

`runner` is the supervising process, `client` is what the `rostrum` command calls; both speak RunnerService over a
Unix socket in the home folder. Nothing here knows what a debate is, and nothing in a cluster uses it.
"""
