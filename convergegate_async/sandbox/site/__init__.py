"""The sandbox for people: the pay page and the status page."""
