"""Exit statuses."""

DONE, FAILED, USAGE = 0, 1, 2
