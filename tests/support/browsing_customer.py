"""A program: a customer on another machine buys, pays, and looks for the parcel.

Its argument is the sandbox's address; what was answered is printed as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

SHOP, SANDBOX = "http://shop:8000", "http://sandbox:8080"


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Go where the program says, and nowhere else."""


BROWSER = build_opener(_Stay)


def ask(
    url: str, form: dict[str, str] | None = None, origin: str | None = None
) -> tuple[int, str]:
    """Return the status of an answer, and its text or where it leads."""
    data = None if form is None else urlencode(form).encode()
    headers = {} if origin is None else {"Origin": origin}
    try:
        with BROWSER.open(Request(url, data, headers), timeout=10) as answer:  # noqa: S310 -- http
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers.get("Location") or ""


def until(is_so: Callable[[], bool]) -> None:
    """Wait a minute for what the other machines do."""
    for _ in range(600):
        try:
            if is_so():
                return
        except OSError:  # it is not up yet
            pass
        time.sleep(0.1)
    sys.exit("it does not come")


def main(address: str) -> None:
    """Do what a customer does, and what he must not."""
    until(lambda: ask(f"{SANDBOX}/health")[0] == 200)
    until(lambda: ask(f"{SHOP}/orders/none")[0] == 200)
    _, page = ask(f"{SHOP}/orders/A-17?amount=4999", {})
    shown, _ = ask(page)
    paid, _ = ask(page, {"blik_code": "123456"}, SANDBOX)
    until(lambda: ask(f"{SHOP}/orders/A-17")[1] == '"shipped"')
    print(  # noqa: T201 -- what it is asked for
        json.dumps(
            {
                "page": page,
                "shown": shown,
                "paid": paid,
                "by address": ask(f"http://{address}:8080/health")[0],
                "without key": ask(f"{SANDBOX}/sandbox/api/sessions")[0],
                "by another page": ask(f"{SANDBOX}/sandbox/reset", {}, SHOP)[0],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
