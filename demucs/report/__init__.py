"""Results as people read them. Nothing here yet."""
