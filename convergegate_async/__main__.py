"""``python -m convergegate_async`` is the command line."""

from convergegate_async.cli import main

if __name__ == "__main__":
    main()
