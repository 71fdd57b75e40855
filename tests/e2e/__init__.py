"""What users do, by the commands of the README: one story a file."""
