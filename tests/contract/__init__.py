"""One suite over every fake and every real port; frozen bytes of each message."""
