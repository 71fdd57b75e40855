"""The moderator's logic without anything outside the process."""
