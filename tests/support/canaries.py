"""Words that must not show up anywhere, and everywhere they could."""

import pickle
import traceback

from convergegate_async import CheckoutSessionRequest

KEY = "sk_test_CANARYkey"
ENCODED = "c2tfdGVzdF9DQU5BUllrZXk6"  # by HTTP Basic
BLIK_CODE = "907356"
PROXY_PASSWORD = "CANARYproxy"
PROXY_WORD = "Y2FuYXJ5OkNBTkFSWXByb3h5"  # by HTTP Basic, of the user canary
PERSONAL = ("canary@example.com", "Canaria", "Canarinen", "+48999888777", "CanaryNote")
PHONE_DIGITS = PERSONAL[3].removeprefix("+")
CANARIES = (
    KEY,
    ENCODED,
    BLIK_CODE,
    PROXY_PASSWORD,
    PROXY_WORD,
    *PERSONAL,
    "canary%40example.com",
    PHONE_DIGITS,  # however the plus before them is spelled
)


def canary_order() -> CheckoutSessionRequest:
    """Return a request made of canaries."""
    email, first, last, phone, note = PERSONAL
    return CheckoutSessionRequest(
        amount=4999,
        currency="pln",
        customer_email=email,
        customer_firstname=first,
        customer_lastname=last,
        customer_phone=phone,
        success_url="https://shop.example/thanks",
        metadata={"note": note},
    )


def channels(error: BaseException) -> str:
    """Return all that an error tracker could see of *error*, locals included."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts = [*shown.format(), pickle.dumps(error).decode("latin-1")]
    for link in (error, error.__cause__, error.__context__):
        texts += [str(link), repr(link), repr(getattr(link, "args", ()))]
        texts += [repr(getattr(link, "__notes__", ()))]
        texts += [repr(vars(link))] if link is not None else []
    return "\n".join(texts)


def leaked(text: str) -> list[str]:
    """Return the canaries that *text* holds."""
    return [word for word in CANARIES if word in text]
