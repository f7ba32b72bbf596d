"""What people look for, and how it is shown to them. Pure."""
