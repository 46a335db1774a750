"""Pure functions: class metrics with intervals, calibration."""
