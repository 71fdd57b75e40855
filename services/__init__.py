"""What the agents do: one package a service, the same file names in each."""
