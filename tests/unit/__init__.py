"""Tests that use nothing outside the process."""
