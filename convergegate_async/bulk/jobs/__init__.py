"""Durable jobs: rows from tables, sent, and kept in a journal."""
