"""How values are spelled as texts: in cells of CSV, and in JSON."""

import json


def text_of(value: object) -> str:
    """Return the text of a cell that holds *value*, by which it is read again.

    Lists of texts have ``|`` between them, and other lists and objects are JSON.
    """
    match value:
        case None:
            return ""
        case bool():
            return json.dumps(value)
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return "|".join(value)
        case list() | tuple() | dict():
            return json_of(value)
        case _:
            return str(value)


def json_of(value: object) -> str:
    """Return *value* in JSON, where an exact decimal stays exact as a text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
