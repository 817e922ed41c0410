"""Files of rows: read, checked, written. Knows files, and no job."""
