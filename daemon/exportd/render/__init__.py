"""Pure renderings: stored conversations and reports as text for people."""
