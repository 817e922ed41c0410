"""``convergegate demo``: the whole life of a payment, on a sandbox of its own."""

import click

from ._streams import print_data, print_drawing
from ._wording import counted


@click.command()
def demo() -> None:
    """Walk a payment from its first request to its refund, with an accident on the way.

    Needs no account: everything happens on this machine.
    """
    import asyncio

    asyncio.run(_demo())


async def _demo() -> None:
    import asyncio

    from convergegate_async import CheckoutSessionRequest, EventType, RefundRequest
    from convergegate_async.sandbox import (
        Fault,
        FaultKind,
        ReceivedWebhook,
        Sandbox,
        WebhookListener,
    )
    from convergegate_async.webhooks import WebhookVerifier, confirm

    from ._show import show_card, spell_amount

    def step(text: str) -> None:
        print_data(f"{click.style('✓', fg='green')} {text}")

    received: asyncio.Queue[ReceivedWebhook] = asyncio.Queue()

    async def event_of(kind: EventType) -> ReceivedWebhook:
        """Wait for an event of *kind*; others come before it."""
        async with asyncio.timeout(10):
            while True:
                delivery = await received.get()
                if delivery.event is not None and delivery.event.type == kind:
                    return delivery

    lost_once = Fault(FaultKind.LOST, operation="create", times=1)
    async with (
        Sandbox(faults=[lost_once]) as sandbox,
        WebhookListener(WebhookVerifier(sandbox.api_key), received.put_nowait) as hooks,
        sandbox.factory() as checkout,
    ):
        step(f"a gateway of your own listens on {sandbox.base_url}")

        # The provider's own sample, with the phone that it forgets, to be paid today.
        request = CheckoutSessionRequest(
            amount=1000,
            currency="pln",
            customer_email="john@example.com",
            customer_firstname="John",
            customer_lastname="Doe",
            customer_phone="+48123456789",
            payment_method=("blik",),
            success_url="https://url.com/",
            cancel_url="https://url.com/",
            notification_url=hooks.url,
        )
        session = await checkout.create(request)
        seen = [entry for entry in sandbox.seen if entry.operation == "create"]
        step("create: it opened the session, and the answer was lost on purpose")
        for entry in seen:
            answer = entry.status or "no answer"
            replay = ", from memory" if entry.replayed else ""
            line = f"    {entry.idempotency_key} → {answer}{replay}"
            print_data(click.style(line, dim=True))
        keys = {entry.idempotency_key for entry in seen}
        opened = len(sandbox.book.sessions)
        step(
            f"the SDK asked again: {counted(len(seen), 'request')}, "
            f"{counted(len(keys), 'key')}, "
            f"{counted(opened, 'session')} in the gateway's book"
        )

        await checkout.pay(session.id, "123456")
        step("pay: the customer's BLIK code was taken")
        delivery = await event_of(EventType.SESSION_COMPLETED)
        if delivery.event is not None:
            session = await confirm(delivery.event, checkout)  # type: ignore[assignment]  # an event of a session
        step(
            "webhook: session.completed, signed and verified, "
            f"answered {delivery.status}"
        )
        step(f"confirm: asked again, the gateway says {session.status}")

        refund = await checkout.refund(RefundRequest(session_id=session.id, amount=400))
        step(f"refund: {spell_amount(refund.amount, session.currency)} is on its way")
        await event_of(EventType.REFUND_SUCCEEDED)
        refund = await checkout.retrieve_refund(refund.id)
        session = await checkout.retrieve(session.id)
        step(f"webhook: refund.succeeded; the refund is {refund.status}")
        payments = sandbox.book.sessions[session.id].payments
        step(f"the money moved once: {counted(payments, 'payment')}, 1 refund")
        # Its attempts are looks, it cannot be paid again, and its page is gone.
        show_card(session, hides=["attempts", "expires", "pay page"])
    print_data(click.style("The same in Python:", bold=True))
    _show_program(_PROGRAM)


def _show_program(program: str) -> None:
    """Print *program*, in colours if there is rich."""
    try:
        from rich.syntax import Syntax

        print_drawing(
            Syntax(program, "python", background_color="default", word_wrap=True)
        )
    except ImportError:
        print_data(program)


_PROGRAM = """\
async with CheckoutSessionFactory.from_env() as checkout:
    session = await checkout.create(request)
    session = await checkout.pay(session.id, blik_code="123456")
    session = await checkout.wait(session.id)
    part = RefundRequest(session_id=session.id, amount=400)
    refund = await checkout.refund(part)
"""
