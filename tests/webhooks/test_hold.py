import asyncio

from convergegate_async.webhooks import Claim, MemoryClaims
from convergegate_async.webhooks._decisions import Patience
from convergegate_async.webhooks._hold import Hold


class SlowClaims(MemoryClaims):
    """Claims whose answer takes its time after the event was entered."""

    async def claim(self, event_id: str, owner: str, lease: float) -> Claim:  # type: ignore[override]  # either is allowed
        """Enter the claim, and answer 0.3 seconds later."""
        said = super().claim(event_id, owner, lease)
        await asyncio.sleep(0.3)
        return said


async def test_the_handlers_time_begins_when_the_claim_is_asked_for() -> None:
    """What the claim took is taken from the handler, or it could outlive its lease."""
    hold = Hold(SlowClaims(), "evt_1", Patience(), keep=60)

    said = await hold.claim()

    assert said is Claim.MINE
    assert hold.left <= 9.71


async def test_a_hold_can_be_asked_for_by_one_delivery_only() -> None:
    """Two deliveries of one event have two names, and the second one is refused."""
    claims = MemoryClaims()
    holds = [Hold(claims, "evt_1", Patience(), keep=60) for _ in range(2)]

    said = [await hold.claim() for hold in holds]
    await holds[1].release()

    assert said == [Claim.MINE, Claim.BUSY]
    assert await holds[1].claim() is Claim.BUSY
