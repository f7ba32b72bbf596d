"""``python -m exportd``."""

from .cli import main

main()
