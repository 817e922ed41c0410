"""Many sessions at once, at the gateway's pace. Knows the factory, and no journal."""
