"""``convergegate demo``: the main promise, shown on a sandbox of its own."""

from datetime import UTC, datetime

import click


@click.command()
def demo() -> None:
    """Open a session, lose its answer on purpose, and see that it is not made twice.

    Needs no account: everything happens on this machine.
    """
    import asyncio

    asyncio.run(_demo())


async def _demo() -> None:
    from rich.console import Console
    from rich.syntax import Syntax

    from convergegate_async import CheckoutSessionRequest
    from convergegate_async.sandbox import Fault, FaultKind, Sandbox

    from ._show import session_card

    console = Console(highlight=False)

    def step(text: str) -> None:
        console.print(f"[green]✓[/] {text}")

    # The sample of the provider's own page, with the phone that it forgets.
    request = CheckoutSessionRequest(
        amount=1000,
        currency="pln",
        customer_email="john@example.com",
        customer_firstname="John",
        customer_lastname="Doe",
        customer_phone="+48123456789",
        payment_method=("blik",),
        expires_at=datetime.fromtimestamp(2_147_483_648, UTC),
        success_url="https://url.com/",
        cancel_url="https://url.com/",
        notification_url="https://url.com/",
    )
    lost_once = Fault(FaultKind.LOST, operation="create", times=1)
    async with Sandbox(faults=[lost_once]) as sandbox, sandbox.factory() as checkout:
        step(f"a gateway of your own listens on {sandbox.base_url}")
        session = await checkout.create(request)
        seen = [entry for entry in sandbox.seen if entry.operation == "create"]
        step("it opened the session, and the answer was lost on purpose")
        step(f"the SDK asked again: {len(seen)} requests were seen")
        keys = {entry.idempotency_key for entry in seen}
        bodies = {entry.body for entry in seen}
        step(f"with {_counted(keys, 'key')} and {_counted(bodies, 'body')}")
        for entry in seen:
            answer = entry.status or "no answer"
            replay = ", from memory" if entry.replayed else ""
            console.print(f"    [dim]{entry.idempotency_key} → {answer}{replay}[/]")
        step(f"the gateway's book holds {_counted(sandbox.book.sessions, 'session')}")
        looked_at = await checkout.retrieve(session.id)
        step(f"looked at again, it is {looked_at.status}")
        console.print(session_card(session))
    console.print("The same in Python:", style="bold")
    console.print(Syntax(_PROGRAM, "python", background_color="default"))


def _counted(things: object, noun: str) -> str:
    number = len(things)  # type: ignore[arg-type]  # any collection
    if number == 1:
        return f"one {noun}"
    return f"{number} {noun}s" if noun != "body" else f"{number} bodies"


_PROGRAM = """\
async with CheckoutSessionFactory.from_env() as checkout:
    session = await checkout.create(request)
    print(session.id, session.url, session.status)
"""
