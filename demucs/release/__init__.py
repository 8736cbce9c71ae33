"""What training hands to its users: one file of weights, configuration and provenance."""
