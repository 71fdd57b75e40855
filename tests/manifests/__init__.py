"""Tests of k8s/base that need no cluster."""
