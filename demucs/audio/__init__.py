"""Audio files and signals: read, write, convert."""
