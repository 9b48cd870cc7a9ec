"""From the words of a command line to a pipeline that can run."""
