"""The pipeline: two lines, the stages on them, events, and the life cycle. Nothing here waits."""
