"""``KEY=VALUE`` options."""

import click


def read_pairs(
    ctx: click.Context, param: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str] | None:
    """Read repeated ``KEY=VALUE`` texts into one mapping."""
    if not all("=" in pair for pair in pairs):
        message = "use KEY=VALUE"
        raise click.BadParameter(message, ctx, param)
    read = dict(pair.split("=", 1) for pair in pairs)
    if len(read) < len(pairs):
        message = "a key is given twice"
        raise click.BadParameter(message, ctx, param)
    return read or None
