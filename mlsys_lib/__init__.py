"""The helper library of Flight-Tested ML Systems, in the order in which data flows."""

from mlsys_lib.world import AvailabilityError, World, examples

__all__ = ["AvailabilityError", "World", "examples"]
