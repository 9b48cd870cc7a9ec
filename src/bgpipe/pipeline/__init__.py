"""The pipeline: two lines that messages travel, the stages along them, events, and the life of it all. No waiting."""
