"""What the benchmarks share: nothing here is a benchmark of its own."""
