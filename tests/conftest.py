"""Settings for all tests: no window, no reader's progress, no clock in Hypothesis."""

import os

from hypothesis import settings

os.environ["MPLBACKEND"] = "agg"
os.environ.pop("MLSYS_PROGRESS", None)  # a test must not touch the reader's progress

# A loaded machine is no failure, and CI must find the same examples every time.
settings.register_profile("course", deadline=None, derandomize=bool(os.getenv("CI")))
settings.load_profile("course")
