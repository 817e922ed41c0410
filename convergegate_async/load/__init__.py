"""Load tests that tell the truth: planned, sent and measured on one clock."""
