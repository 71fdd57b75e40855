"""The fixture that the tests of the moderator's commands share."""

from tests.support.fake_world import bench

__all__ = ["bench"]
