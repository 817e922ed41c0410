"""What the doctor finds, as a process that a user starts, and on the wire."""

import json
import re
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import authority
import pytest
import trustme
from canaries import KEY, PROXY_PASSWORD, leaked
from programs import Done, run, variables_of
from raw import Exchange, RawServer, http, says, tunnels

from convergegate_async.cli._doctor_probes import NO_SESSION
from convergegate_async.sandbox import Sandbox

HOST = "gateway.example"
DAY = timedelta(days=1)
NOT_FOUND = says(http(b'{"error": {"message": "no such"}}', "404 Not Found"))
NO_ENVIRONMENT = dict.fromkeys(
    ("CONVERGEGATE_API_KEY", "CONVERGEGATE_BASE_URL", "https_proxy", "no_proxy"), ""
)
"""That of whoever runs the tests: lower case wins over upper."""


async def examined(
    base_url: str = "",
    *arguments: str,
    sandbox: Sandbox | None = None,
    **environ: str,
) -> tuple[Done, dict[str, dict[str, str]]]:
    """Run the doctor for *base_url*: the process, and its checks by their names."""
    gateway = {"CONVERGEGATE_API_KEY": KEY, "CONVERGEGATE_BASE_URL": base_url}
    done = await run(
        None,
        *("doctor", "--json", *arguments),
        environ=NO_ENVIRONMENT
        | (variables_of(sandbox) if sandbox else gateway)
        | environ,
    )
    assert leaked(done.out + done.err) == []
    assert done.err == ""
    checks = json.loads(done.out)
    found = {check["name"]: check for check in checks["checks"]}
    assert checks["ok"] is all(one["result"] != "failed" for one in found.values())
    assert checks["ok"] is (done.code == 0)
    return done, found


def failed(found: dict[str, dict[str, str]]) -> list[str]:
    """Return the names of the checks that failed."""
    return [name for name, check in found.items() if check["result"] == "failed"]


def skipped(found: dict[str, dict[str, str]]) -> list[str]:
    """Return the names of the checks that were not made."""
    return [name for name, check in found.items() if check["result"] == "skipped"]


# -- on the wire --------------------------------------------------------------------


async def test_a_sandbox_is_healthy_and_stays_as_it_is(sandbox: Sandbox) -> None:
    """Exit code 0; the gateway has seen one look at nothing, and the key no screen."""
    done, found = await examined(sandbox=sandbox)

    [seen] = sandbox.seen
    assert done.code == 0
    assert sandbox.api_key not in done.out
    assert (seen.method, seen.path) == ("GET", f"/v1/checkout/sessions/{NO_SESSION}")
    assert skipped(found) == ["TLS"]
    assert found["configuration"]["text"] == (
        f"a test key (sk_test_…), {sandbox.base_url}"
    )
    assert not sandbox.book.sessions


async def test_without_a_configuration_nothing_is_called() -> None:
    """Exit code 3: both variables are named, and what needs them is skipped."""
    done, found = await examined(CONVERGEGATE_API_KEY="")

    assert done.code == 3
    assert failed(found) == ["configuration"]
    assert (
        "CONVERGEGATE_API_KEY and CONVERGEGATE_BASE_URL"
        in (found["configuration"]["text"])
    )
    assert skipped(found) == [
        *("lane", "proxy", "DNS", "TCP", "TLS", "gateway", "clock")
    ]


@pytest.mark.parametrize(
    ("switch", "text"),
    [
        ("", "taken"),
        ("off", "through aiohttp's session: CONVERGEGATE_LANE=off"),
    ],
)
async def test_it_says_which_way_calls_take(
    switch: str, text: str, sandbox: Sandbox
) -> None:
    """The lane or aiohttp's session, and why; either is fine."""
    done, found = await examined(sandbox=sandbox, CONVERGEGATE_LANE=switch)

    assert (done.code, failed(found)) == (0, [])
    assert text in found["lane"]["text"]


async def test_where_nothing_runs_nothing_answers() -> None:
    """Exit code 5: the port is named, and how to start a sandbox."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]

        done, found = await examined(f"http://127.0.0.1:{port}")

    assert (done.code, failed(found)) == (5, ["TCP"])
    assert f"127.0.0.1 port {port}: Connection refused" in found["TCP"]["text"]
    assert "convergegate sandbox" in found["TCP"]["advice"]
    assert skipped(found) == ["TLS", "gateway", "clock"]


async def test_a_host_that_is_not_known() -> None:
    """Exit code 5: the name is told, and that it is this machine's DNS that says so."""
    done, found = await examined("https://gateway.invalid")

    assert (done.code, failed(found)) == (5, ["DNS"])
    assert "gateway.invalid" in found["DNS"]["text"]
    assert skipped(found) == ["TCP", "TLS", "gateway", "clock"]


async def test_a_key_of_another_gateway(sandbox: Sandbox) -> None:
    """Exit code 3: the key is refused, and the clock is looked at all the same."""
    done, found = await examined(sandbox=sandbox, CONVERGEGATE_API_KEY="sk_live_other")

    assert (done.code, failed(found)) == (3, ["gateway"])
    assert "refuses the key (HTTP 401)" in found["gateway"]["text"]
    assert found["clock"]["result"] == "ok"
    assert found["configuration"]["text"].startswith("a live key")
    assert "sk_live" not in done.out


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_gateway_whose_clock_is_an_hour_off(hours: int) -> None:
    """Exit code 3: the difference is told, and what it means for webhooks."""
    theirs = format_datetime(datetime.now(UTC) + hours * timedelta(hours=1), True)  # noqa: FBT003 -- GMT
    body = http(b"{}", "404 Not Found", f"Date: {theirs}\r\n".encode())
    async with RawServer(says(body)) as server:
        done, found = await examined(server.base_url)

    match = re.fullmatch(
        r"(\d+) s (ahead of|behind) the gateway's", (found["clock"]["text"])
    )
    assert (done.code, failed(found)) == (3, ["clock"])
    assert match
    assert match[2] == ("behind" if hours > 0 else "ahead of")
    assert 3_300 < int(match[1]) < 3_900
    assert "webhooks are judged stale beyond 300 s" in found["clock"]["advice"]


async def test_a_gateway_in_trouble() -> None:
    """Exit code 4: it was reached, and says nothing of the key."""
    async with RawServer(says(http(b"{}", "503 Service Unavailable"))) as server:
        done, found = await examined(server.base_url)

    assert (done.code, failed(found)) == (4, ["gateway"])
    assert "HTTP 503" in found["gateway"]["text"]


async def silent(exchange: Exchange) -> None:
    """Take what comes, and say nothing."""
    await exchange.reader.read()


@pytest.mark.parametrize(("scheme", "name"), [("https", "TLS"), ("http", "gateway")])
async def test_a_server_that_says_nothing(scheme: str, name: str) -> None:
    """Exit code 5 when the deadline of the check is over."""
    async with RawServer(silent) as server:
        base_url = server.base_url.replace("http", scheme, 1)
        done, found = await examined(base_url, "--timeout", "0.5")

    assert (done.code, failed(found)) == (5, [name])


# -- TLS ------------------------------------------------------------------------------


async def test_a_certificate_that_nobody_vouches_for() -> None:
    """Exit code 5: whose it is and who made it, and no request was sent."""
    ends = authority.trusted()
    async with RawServer(NOT_FOUND, ends.server) as server:
        done, found = await examined(server.base_url)

    assert (done.code, failed(found)) == (5, ["TLS"])
    assert re.search(
        r"not trusted: unable to get local issuer certificate "
        r"\(it is that of 127.0.0.1, by trustme .*\)",
        found["TLS"]["text"],
    )
    assert "SSL_CERT_FILE" in found["TLS"]["advice"]
    assert server.requests == []


async def test_a_certificate_whose_names_come_too_late() -> None:
    """It is not trusted all the same, and the advice is about that."""
    ends = authority.trusted()

    async def shakes_hands_once(exchange: Exchange) -> None:
        if exchange.server.connections == 2:
            with suppress(OSError):
                await exchange.writer.start_tls(ends.server)
        else:
            await silent(exchange)

    async with RawServer(shakes_hands_once) as server:
        base_url = server.base_url.replace("http", "https", 1)
        done, found = await examined(base_url, "--timeout", "2")

    assert (done.code, failed(found)) == (5, ["TLS"])
    assert "the certificate is not trusted" in found["TLS"]["text"]
    assert "SSL_CERT_FILE" in found["TLS"]["advice"]


@pytest.fixture
def vouched(tmp_path: Path) -> tuple[trustme.CA, str]:
    """An authority, and the file that has a process trust it."""
    authority_of_ours = trustme.CA()
    path = tmp_path / "authority.pem"
    authority_of_ours.cert_pem.write_to_path(str(path))
    return authority_of_ours, str(path)


@pytest.mark.parametrize(
    ("host", "days", "problem"),
    [
        pytest.param("127.0.0.1", -1, "certificate has expired", id="expired"),
        pytest.param("shop.example", 9, "127.0.0.1", id="of-another-host"),
    ],
)
async def test_a_certificate_that_is_not_right(
    vouched: tuple[trustme.CA, str], host: str, days: int, problem: str
) -> None:
    """Exit code 5: what is wrong with it is told, though its authority is trusted."""
    ours, path = vouched
    now = datetime.now(UTC)
    leaf = ours.issue_cert(host, not_before=now - 9 * DAY, not_after=now + days * DAY)
    server_context = authority.presenting(leaf)
    async with RawServer(NOT_FOUND, server_context) as server:
        done, found = await examined(server.base_url, SSL_CERT_FILE=path)

    assert (done.code, failed(found)) == (5, ["TLS"])
    assert problem in found["TLS"]["text"]
    assert server.requests == []


@pytest.mark.parametrize(("days", "advice"), [(9, "renew"), (90, None)])
async def test_a_certificate_that_is_right(
    vouched: tuple[trustme.CA, str], days: int, advice: str | None
) -> None:
    """Whose it is, who made it, and how long it lasts; one that ends soon is told."""
    ours, path = vouched
    end = datetime.now(UTC) + days * DAY + timedelta(hours=12)
    leaf = ours.issue_cert("127.0.0.1", not_after=end)
    async with RawServer(NOT_FOUND, authority.presenting(leaf)) as server:
        done, found = await examined(server.base_url, SSL_CERT_FILE=path)

    assert (done.code, len(server.requests)) == (0, 1)
    assert found["TLS"]["text"].startswith("TLSv1.3, 127.0.0.1 by trustme")
    assert found["TLS"]["text"].endswith(f"for {days} days")
    assert (advice or "") in (found["TLS"]["advice"] or "")
    assert (found["TLS"]["advice"] is None) is (advice is None)


# -- proxies --------------------------------------------------------------------------


def with_password(address: str) -> str:
    """Return the address of a proxy with a user and a password in it."""
    return address.replace("://", f"://canary:{PROXY_PASSWORD}@")


async def test_a_dead_proxy() -> None:
    """Exit code 5: its address is told without its password, and nothing is tried."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        proxy = with_password(f"http://127.0.0.1:{port}")

        done, found = await examined(
            f"https://{HOST}", "--trust-env", https_proxy=proxy
        )

    assert (done.code, failed(found)) == (5, ["proxy"])
    assert found["proxy"]["text"] == f"127.0.0.1:{port}: Connection refused"
    assert "through aiohttp's session: a proxy is used" in found["lane"]["text"]
    assert skipped(found) == ["DNS", "TCP", "TLS", "gateway", "clock"]


REFUSALS = {
    "407": (says(http(b"", "407 Proxy Authentication Required")), "HTTP 407"),
    "no-http": (says(b"SSH-2.0-x\r\n\r\n"), "it hung up"),
}


@pytest.mark.parametrize("fault", REFUSALS)
async def test_a_proxy_that_does_not_lead_there(fault: str) -> None:
    """Exit code 5: it was reached, and what it said is told."""
    script, reason = REFUSALS[fault]
    async with RawServer(script) as proxy:
        done, found = await examined(
            f"https://{HOST}",
            "--trust-env",
            https_proxy=with_password(proxy.base_url),
        )

    assert (done.code, failed(found)) == (5, ["TCP"])
    assert f"the proxy does not lead there: {reason}" in found["TCP"]["text"]
    assert "user and password" in found["TCP"]["advice"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_leads_there(
    vouched: tuple[trustme.CA, str], scheme: str
) -> None:
    """All that is looked at is looked at through it, as calls go."""
    ours, path = vouched
    leaf = ours.issue_cert(HOST)
    tls = authority.presenting(ours.issue_cert("127.0.0.1"))
    async with (
        RawServer(tunnels, tls if scheme == "https" else None) as proxy,
        RawServer(NOT_FOUND, authority.presenting(leaf)) as server,
    ):
        done, found = await examined(
            server.base_url.replace("127.0.0.1", HOST),
            "--trust-env",
            https_proxy=with_password(proxy.base_url),
            SSL_CERT_FILE=path,
        )

    assert (done.code, skipped(found)) == (0, ["DNS", "clock"])
    assert len(server.requests) == 1
    assert all(b"Proxy-Authorization: Basic" in one for one in proxy.requests)


async def test_a_proxy_that_is_not_used_is_told() -> None:
    """Who wonders why nothing goes through the environment's proxy reads why."""
    _, found = await examined("https://gateway.invalid", https_proxy="http://x.invalid")

    assert found["proxy"]["text"] == (
        "none; https_proxy names one, which is used with trust_env=True only"
    )


# -- how it is shown ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "signs"), [("utf-8", "✓✗-"), ("ascii", ("ok", "no", "-"))]
)
async def test_every_line_has_a_sign(encoding: str, signs: tuple[str, ...]) -> None:
    """A check is a line with a sign, in words where the screen lacks it."""
    done = await run(
        None,
        "doctor",
        encoding=encoding,
        environ=NO_ENVIRONMENT
        | {
            "CONVERGEGATE_API_KEY": KEY,
            "CONVERGEGATE_BASE_URL": "https://gateway.invalid",
        },
    )

    lines = done.out.splitlines()
    seen = [line.split()[:2] for line in lines if line[0] != " "]
    good, bad, none = signs
    assert (done.code, done.err) == (5, "")
    assert seen == [
        *([good, name] for name in ("Python", "packages", "extras", "event")),
        *([good, name] for name in ("configuration", "lane", "proxy")),
        [bad, "DNS"],
        *([none, name] for name in ("TCP", "TLS", "gateway", "clock")),
    ]
    gap = lines[0].index("3.")  # where the texts begin
    assert {line[gap - 2 : gap] for line in lines} == {"  "}
