"""What a person reads of an answer: what the gateway wrote, and nothing that acts."""

import pytest
from canaries import BLIK_CODE, KEY
from programs import run, shell_needed
from raw import RawServer, http, says

pytestmark = shell_needed

STEERS = (
    b'{"id": "cs_1", "status": "odd\\u001b[2J", "currency": "\\u001b]0;",'
    b' "amount_total": 123456, "url": "https://\\u001b[31m\\u202e.example"}'
)


@pytest.mark.parametrize(
    "words", [("get", "cs_1"), ("pay", "cs_1", "--no-wait")], ids=" ".join
)
async def test_no_answer_steers_a_terminal(words: tuple[str, ...]) -> None:
    """Controls are shown as something unknown, on stdout and on stderr."""
    async with RawServer(says(http(STEERS))) as server:
        done = await run(
            None,
            *words,
            stdin=BLIK_CODE,
            environ={
                "CONVERGEGATE_API_KEY": KEY,
                "CONVERGEGATE_BASE_URL": server.base_url,
            },
        )

    assert "odd\ufffd[2J" in done.out
    assert "1\u202f234.56" in done.out  # our own typography stays
    assert not {"\x1b", "\u202e"} & {*done.out, *done.err}
