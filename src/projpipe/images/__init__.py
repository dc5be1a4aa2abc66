"""Where images come from: one file per source, and what they are packed into."""
