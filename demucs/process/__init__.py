"""This process: signals that ask it to end, its exit, and its child processes."""
