"""The book in a file: what a restart brings back."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import attrs
import pytest

from convergegate_async import (
    CheckoutSessionRequest,
    ConfigurationError,
    OutcomeUnknownError,
    RefundRequest,
    RetryPolicy,
    ServerError,
    SessionStatus,
)
from convergegate_async.sandbox import Sandbox
from convergegate_async.webhooks import WebhookReply

ONCE = RetryPolicy(max_attempts=1)


async def test_a_restart_brings_everything_back(
    order: CheckoutSessionRequest, tmp_path: Path
) -> None:
    """Sessions, payments, refunds and answers under keys survive; links follow."""
    file = tmp_path / "book.db"
    async with Sandbox(db=file) as sandbox, sandbox.factory() as checkout:
        paid = await checkout.create(order, idempotency_key="k")
        pending = await checkout.create(order)
        await checkout.pay(paid.id, "123456")
        await checkout.pay(pending.id, "012345")
        refund = await checkout.refund(RefundRequest(session_id=paid.id, amount=1))

    async with Sandbox(db=file) as sandbox, sandbox.factory() as checkout:
        again = await checkout.create(order, idempotency_key="k")
        found = await checkout.retrieve(paid.id)
        sandbox.advance(2)
        confirmed = await checkout.retrieve(pending.id)
        ended = await checkout.retrieve_refund(refund.id)
        new = await checkout.create(order)
        url = sandbox.base_url

    assert again.id == paid.id
    assert (found.status, found.amount_refunded) == (SessionStatus.COMPLETED, 1)
    assert found.metadata == order.metadata
    assert str(found.url).startswith(url)
    assert confirmed.status is SessionStatus.COMPLETED
    assert ended.status == "succeeded"
    assert new.id not in {paid.id, pending.id}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_repeated_answer_leads_to_where_the_pay_page_is_now(
    order: CheckoutSessionRequest, tmp_path: Path
) -> None:
    """After a restart on another port its link is that of the session."""
    file = tmp_path / "book.db"
    async with Sandbox(db=file) as sandbox, sandbox.factory() as checkout:
        first = await checkout.create(order, idempotency_key="k")
        await checkout.pay(first.id, "123456")
        refund = RefundRequest(session_id=first.id, amount=1)
        paid_back = await checkout.refund(refund, idempotency_key="k")

    public = "https://pay.example"
    async with (
        Sandbox(db=file, public_url=public) as sandbox,
        sandbox.factory() as checkout,
    ):
        again = await checkout.create(order, idempotency_key="k")
        repeated = await checkout.refund(refund, idempotency_key="k")

    assert again.url == f"{public}/pay/{first.id}"
    assert repeated.id == paid_back.id


async def test_kept_keys_can_be_ignored_too(
    order: CheckoutSessionRequest, tmp_path: Path
) -> None:
    """With `honour_keys` off an answer of an earlier start is not repeated."""
    file = tmp_path / "book.db"
    ids = set()
    for honours in (True, False, False, True):
        async with (
            Sandbox(db=file, honour_keys=honours) as sandbox,
            sandbox.factory() as checkout,
        ):
            ids.add((await checkout.create(order, idempotency_key="k")).id)

    assert len(ids) == 3


async def test_forgetting_empties_the_file(
    order: CheckoutSessionRequest, tmp_path: Path
) -> None:
    """After `reset` a restart finds nothing."""
    file = tmp_path / "book.db"
    async with Sandbox(db=file) as sandbox, sandbox.factory() as checkout:
        await checkout.create(order, idempotency_key="k")
        sandbox.reset()

    async with Sandbox(db=file) as sandbox:
        left = dict(sandbox.book.sessions)

    assert left == {}


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 99])
async def test_a_file_of_another_kind_is_refused(
    content: bytes, tmp_path: Path
) -> None:
    """What is no SQLite file is left as it is, and refused."""
    file = tmp_path / "book.db"
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"book\.db"):
        await Sandbox(db=file).__aenter__()

    assert file.read_bytes() == content


async def test_no_code_is_kept(order: CheckoutSessionRequest, tmp_path: Path) -> None:
    """A BLIK code is in no table."""
    file = tmp_path / "book.db"
    async with Sandbox(db=file) as sandbox, sandbox.factory() as checkout:
        session = await checkout.create(order)
        await checkout.pay(session.id, "918273")

    with closing(sqlite3.connect(file)) as database:
        dump = "\n".join(database.iterdump())
    assert session.id in dump
    assert "918273" not in dump


async def test_a_book_has_one_keeper(tmp_path: Path) -> None:
    """A second sandbox on the same file is refused, and the first one goes on."""
    file = tmp_path / "book.db"
    async with Sandbox(db=file) as sandbox:
        with pytest.raises(ConfigurationError, match="locked"):
            await Sandbox(db=file).__aenter__()

        assert sandbox.base_url


async def test_a_database_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A table of the same name with other contents is refused, not stumbled over."""
    file = tmp_path / "book.db"
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE sessions (id TEXT PRIMARY KEY, kept TEXT)")
    other.execute("""INSERT INTO sessions VALUES ('a', '{"id": "a"}')""")
    other.commit()
    other.close()

    with pytest.raises(ConfigurationError, match="something else"):
        await Sandbox(db=file).__aenter__()


@contextmanager
def full_disk() -> Iterator[None]:
    """Let nothing be written to any file of this process."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_what_cannot_be_written_is_written_later(
    order: CheckoutSessionRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk all is answered by 500, and repeated by its key afterwards."""
    file = tmp_path / "book.db"
    async with Sandbox(db=file) as sandbox, sandbox.factory(retry=ONCE) as checkout:
        kept = await checkout.create(order)
        with full_disk():
            for key in ("a", "a", "b"):
                with pytest.raises(OutcomeUnknownError):
                    await checkout.create(order, idempotency_key=key)
            with pytest.raises(ServerError):
                await checkout.retrieve(kept.id)
        first = await checkout.create(order, idempotency_key="a")

    async with Sandbox(db=file) as sandbox:
        ids = set(sandbox.book.sessions)
    assert len(ids) == 3
    assert {kept.id, first.id} < ids
    [line] = caplog.messages
    assert "the sandbox cannot keep its book in" in line


async def test_a_full_disk_stops_nothing_else(
    order: CheckoutSessionRequest, tmp_path: Path
) -> None:
    """Webhooks are delivered, time passes, and what happened then is kept after all."""
    file = tmp_path / "book.db"
    order = attrs.evolve(order, notification_url="https://shop.example/hook")
    delivered: list[bytes] = []

    async def take(_: str, body: bytes, __: object) -> WebhookReply:
        delivered.append(body)
        return WebhookReply(204, "")

    async with Sandbox(db=file) as sandbox, sandbox.factory() as checkout:
        sandbox.deliver_by(take)
        session = await checkout.create(order)
        with full_disk():
            sandbox.pay(session.id)
            await sandbox.elapse(1)
            other = sandbox.book.open_session(order, sandbox.base_url)
            sandbox.pay(other.id, "012345")
            await sandbox.elapse(5)
        await sandbox.elapse(1)

    assert len(delivered) == 4
    async with Sandbox(db=file) as sandbox:
        statuses = [one.status for one in sandbox.book.sessions.values()]
    assert statuses == [SessionStatus.COMPLETED] * 2


async def test_what_is_never_written_is_told(
    order: CheckoutSessionRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A sandbox that ends on a full disk says how much is lost; the rest is there."""
    file = tmp_path / "book.db"
    async with Sandbox(db=file) as sandbox, sandbox.factory() as checkout:
        kept = await checkout.create(order)
    with ExitStack() as stack:
        async with Sandbox(db=file) as sandbox:
            stack.enter_context(full_disk())
            sandbox.book.open_session(order, sandbox.base_url)

    assert "it ends with 1 sessions that are not written" in caplog.messages[-1]
    async with Sandbox(db=file) as sandbox:
        assert list(sandbox.book.sessions) == [kept.id]


async def test_what_was_to_be_forgotten_is_forgotten_later(
    order: CheckoutSessionRequest, tmp_path: Path
) -> None:
    """A `reset` on a full disk empties the file once there is room."""
    file = tmp_path / "book.db"
    async with Sandbox(db=file) as sandbox, sandbox.factory() as checkout:
        await checkout.create(order)
        with full_disk():
            sandbox.reset()
        new = await checkout.create(order)

    async with Sandbox(db=file) as sandbox:
        assert list(sandbox.book.sessions) == [new.id]
