"""What became of each row, durably. Knows SQLite, and no file of rows."""
