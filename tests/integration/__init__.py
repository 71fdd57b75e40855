"""Tests that use one real thing each."""
