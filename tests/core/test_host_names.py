import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from convergegate_async._core.host_names import (
    Address,
    is_host,
    read_authority,
    read_origin,
    read_url,
)

PIECES = st.sampled_from(
    [
        *("http", "https", "://", "127.0.0.1", "evil.example", "localhost", "[::1]"),
        *("@", ":", "/", "\\", "#", "?", "\t", "\n", " ", ".", "80", "\u2460", "%2f"),
    ]
)
URLS = st.lists(PIECES, max_size=8).map("".join)


@given(url=st.one_of(URLS, st.text(), URLS.map("http://".__add__)))
def test_a_url_leads_where_the_client_goes(url: str) -> None:
    """What is read is what aiohttp's own URL says; any doubt reads as nothing."""
    address = read_url(url)

    if address is not None:
        taken = URL(url)
        assert (taken.scheme, taken.host) == (address.scheme, address.host)
        assert taken.explicit_port in (None, address.port)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000/hook", Address("http", "127.0.0.1", 8000)),
        ("HTTPS://Shop.EXAMPLE", Address("https", "shop.example", 443)),
        ("http://[::1]/", Address("http", "::1", 80)),
        ("http://me@shop_1?a=@b", Address("http", "shop_1", 80)),
        ("http://127.0.0.1@shop.example/", Address("http", "shop.example", 80)),
        ("http://shop.example\\@127.0.0.1/", None),
        ("http://127.0.0.1\\@shop.example/", None),
        ("http://local\thost/", None),
        ("http://\u2460\u2461.0.0.1/", None),
        ("ws://127.0.0.1/", None),
        ("//127.0.0.1/", None),
        ("http://shop.example:65536/", None),
        ("http://", None),
        ("", None),
    ],
    ids=ascii,
)
def test_a_url_is_read_strictly(url: str, address: Address | None) -> None:
    """Scheme, host and port of a plain URL, in one form."""
    assert read_url(url) == address


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("http://localhost:8080", Address("http", "localhost", 8080)),
        ("https://pay.example/", Address("https", "pay.example", 443)),
        ("null", None),
        ("https://pay.example/path", None),
        ("https://me@pay.example", None),
        ("https://pay.example https://evil.example", None),
    ],
)
def test_an_origin_has_no_more_than_its_three_parts(
    origin: str, address: Address | None
) -> None:
    """A path, a user or a list is no origin."""
    assert read_origin(origin) == address


@pytest.mark.parametrize(
    ("authority", "address"),
    [
        ("LOCALHOST:8080", Address("http", "localhost", 8080)),
        ("[::1]", Address("http", "::1", 80)),
        ("me@localhost", None),
        ("localhost/", None),
        ("localhost:", None),
        ("::1", None),
        ("", None),
    ],
)
def test_a_host_header_is_a_name_and_a_port(
    authority: str, address: Address | None
) -> None:
    """Anything else in it is refused."""
    assert read_authority(authority) == address
    if address is not None:
        assert read_authority(authority, "https") in (
            address.__class__("https", address.host, 443),
            address.__class__("https", address.host, address.port),
        )


def test_a_name_is_without_scheme_and_port() -> None:
    """Names and addresses of both kinds are hosts; URLs and wildcards are not."""
    assert all(map(is_host, ("shop", "shop_1.test", "10.0.0.7", "::1", "SHOP")))
    assert not any(
        map(
            is_host,
            (
                "",
                "*",
                "shop:80",
                "10.0.0.5:80",
                "::1%lo",
                "http://shop",
                "shop/",
                "a b",
            ),
        )
    )
