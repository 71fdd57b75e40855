"""The fixture that the tests of the command share."""

from tests.support.fake_world import bench

__all__ = ["bench"]
