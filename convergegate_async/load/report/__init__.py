"""What a run came to: as a value, as a file, as a page, and beside another run."""
