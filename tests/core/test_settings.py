import traceback
from base64 import b64decode
from contextlib import suppress
from string import ascii_letters, digits, punctuation
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed does not know it

import pytest
from canaries import channels, leaked
from hypothesis import assume, given
from hypothesis import strategies as st

from convergegate_async import ConfigurationError
from convergegate_async._core.echo import ECHO_FIELDS
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import (
    Settings,
    is_loopback,
    missing_variables,
    proxy_of_environment,
    read_settings,
    split_names,
)

URL = "https://gateway.example"
USABLE = (ascii_letters + digits + punctuation).replace(":", "")
KEYS = st.text(USABLE, min_size=1).filter(
    lambda key: key.strip("\"'") == key and not key.startswith("pk_")
)


def read(key: object = "sk_test_1", url: object = URL) -> Settings:
    """Read settings of which only one thing is unusual."""
    return read_settings(Secret(key), url)  # type: ignore[arg-type]  # wrong types are the point


# -- the key ------------------------------------------------------------------------


@given(KEYS)
def test_a_usable_key_is_the_user_of_http_basic(key: str) -> None:
    """The header names the key as user, with an empty password."""
    settings = read(key=key)

    scheme, _, credentials = settings.authorization.reveal().partition(" ")

    assert (scheme, b64decode(credentials)) == ("Basic", f"{key}:".encode())


@given(
    before=st.text(USABLE),
    fault=st.characters(exclude_characters=USABLE),
    after=st.text(USABLE),
)
def test_a_key_with_any_other_character_is_refused(
    before: str, fault: str, after: str
) -> None:
    """What a header or HTTP Basic would mangle never gets there, wherever it stands."""
    key = before + fault + after

    with pytest.raises(ConfigurationError, match=r"^the API key must"):
        read(key=key)


REFUSED_KEYS = {
    "empty": ("", "must be a non-empty str"),
    "None": (None, "must be a non-empty str"),
    "bytes": (b"sk_canary", "must be a non-empty str"),
    "newline": ("sk_canary\n", "must not hold white space"),
    "space": (" sk_canary", "must not hold white space"),
    "tab": ("sk_canary\t", "must not hold white space"),
    "nbsp": ("sk_canary\u00a0", "must not hold white space"),
    "colon": ("sk_canary:", "must not hold a colon"),
    "non-ASCII": ("sk_canary\u00fd", "must be printable ASCII"),
    "NUL": ("sk_canary\0", "must be printable ASCII"),
    "surrogate": ("sk_canary\ud800", "must be printable ASCII"),
    "quotes": ('"sk_canary"', "must not stand in quotes"),
    "apostrophes": ("'sk_canary'", "must not stand in quotes"),
    "half a quote": ('sk_canary"', "must not stand in quotes"),
    "public": ("pk_test_canary", "must be the secret one (sk_…)"),
}


@pytest.mark.parametrize(
    ("key", "problem"), REFUSED_KEYS.values(), ids=REFUSED_KEYS.keys()
)
def test_a_refused_key_is_shown_its_rule(key: object, problem: str) -> None:
    """A key that cannot be right is refused with the rule that it breaks."""
    with pytest.raises(ConfigurationError) as caught:
        read(key=key)

    assert str(caught.value).startswith(f"the API key {problem}")


@pytest.mark.parametrize("name", REFUSED_KEYS)
def test_a_refused_key_is_not_shown(name: str) -> None:
    """Neither the error nor anything that it was raised from holds a refused key."""
    with pytest.raises(ConfigurationError) as caught:
        read(key=REFUSED_KEYS[name][0])

    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", REFUSED_KEYS)
def test_the_frames_behind_a_refused_key_do_not_hold_it(name: str) -> None:
    """A reporter that prints the locals of our frames prints no key."""
    with pytest.raises(ConfigurationError) as caught:
        read(key=REFUSED_KEYS[name][0])

    held = [
        repr(frame.f_locals)
        for frame, _ in traceback.walk_tb(caught.tb)
        if frame.f_globals["__name__"] == read_settings.__module__
    ]
    assert len(held) == 1
    assert "canary" not in held[0]


# -- the address --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address"),
    [
        pytest.param("https://gateway.example", "https://gateway.example", id="bare"),
        pytest.param("https://gateway.example/", "https://gateway.example", id="slash"),
        pytest.param(
            "https://gateway.example/pay/", "https://gateway.example/pay", id="prefix"
        ),
        pytest.param(
            "HTTPS://GateWay.Example/Pay", "https://gateway.example/Pay", id="case"
        ),
        pytest.param(
            "https://gateway.example:8443", "https://gateway.example:8443", id="port"
        ),
        pytest.param("https://192.0.2.7", "https://192.0.2.7", id="ipv4"),
        pytest.param(
            "https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443", id="ipv6"
        ),
        pytest.param("http://127.0.0.1:8080", "http://127.0.0.1:8080", id="loopback"),
        pytest.param("http://[::1]:8080/", "http://[::1]:8080", id="loopback-ipv6"),
        pytest.param("http://localhost:80", "http://localhost:80", id="localhost"),
        pytest.param("https://gateway.example/v10", f"{URL}/v10", id="not-quite-v1"),
        pytest.param("https://gateway.example.", f"{URL}.", id="rooted"),
        pytest.param("https://pay.1st", "https://pay.1st", id="digit-first"),
    ],
)
def test_an_address_is_held_in_the_one_form_that_paths_follow(
    url: str, address: str
) -> None:
    """However it is spelled, a path can be put straight behind the base URL."""
    settings = read(url=url)

    assert settings.base_url == address


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        pytest.param(None, "must be a str", id="None"),
        pytest.param(b"https://gateway.example", "must be a str", id="bytes"),
        pytest.param("", "must be absolute", id="empty"),
        pytest.param("gateway.example", "must be absolute", id="no-scheme"),
        pytest.param("//gateway.example", "must be absolute", id="scheme-relative"),
        pytest.param("ftp://gateway.example", "must be absolute", id="ftp"),
        pytest.param("https://", "must be absolute", id="no-host"),
        pytest.param("https://:443", "must be absolute", id="port-only"),
        pytest.param("https://[::1", "is not a URL", id="open-bracket"),
        pytest.param("https://gateway.example:99999", "is not a URL", id="port-range"),
        pytest.param("https://gateway.example:x", "is not a URL", id="port-text"),
        pytest.param(
            "https://gateway.example/\n", "must be printable ASCII", id="newline"
        ),
        pytest.param(
            "https://gateway.example/a b", "must be printable ASCII", id="space"
        ),
        pytest.param("https://gäteway.example", "must be printable ASCII", id="umlaut"),
        pytest.param("https://me:pw@gateway.example", "must hold no user", id="user"),
        pytest.param("https://@gateway.example", "must hold no user", id="empty-user"),
        pytest.param("https://gateway.example?a=1", "must hold no user", id="query"),
        pytest.param("https://gateway.example#a", "must hold no user", id="fragment"),
        pytest.param("http://gateway.example", "must be https", id="http"),
        pytest.param("http://192.0.2.7", "must be https", id="http-address"),
        pytest.param("http://localhost.example", "must be https", id="http-lookalike"),
        pytest.param("http://127.0.0.1.example", "must be https", id="http-prefix"),
        pytest.param("https://169.254.169.254", "must name a host", id="metadata"),
        pytest.param("https://.", "must name a host", id="dot"),
        pytest.param("https://a..example", "must name a host", id="empty-label"),
        pytest.param("https://gateway\\v2", "must name a host", id="backslash"),
        pytest.param("https://{domain}", "must name a host", id="placeholder"),
        pytest.param("https://" + "a" * 64, "must name a host", id="long-label"),
        pytest.param("https://[fe80::1]", "must name a host", id="link-local-ipv6"),
        pytest.param("https://2130706433", "must name a host", id="decimal"),
        pytest.param("https://2130706433.", "must name a host", id="decimal-rooted"),
        pytest.param("https://0x7f.1", "must name a host", id="hex-and-short"),
        pytest.param("https://0x7f000001", "must name a host", id="hex"),
        pytest.param("https://gateway.example/v1", "must not include /v1", id="v1"),
        pytest.param("https://gateway.example/v1/", "must not include /v1", id="v1/"),
        pytest.param(
            "https://gateway.example/a/v1", "must not include", id="prefix-v1"
        ),
    ],
)
def test_an_address_that_cannot_be_right_is_refused(url: object, problem: str) -> None:
    """The refusal names the rule that the base URL breaks."""
    with pytest.raises(ConfigurationError) as caught:
        read(url=url)

    assert str(caught.value).startswith(f"the base URL {problem}")


PIECES = st.sampled_from(
    [
        "https://",
        "http://",
        "gateway.example",
        "localhost",
        "[::1]",
        "[",
        "]",
        "127.1",
        ":443",
        ":",
        "/",
        "v1",
        "?",
        "#",
        "@",
        "%",
        "é",
    ]
)


@given(st.text() | st.lists(PIECES).map("".join))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    """No text makes the reading of a base URL fail in any other way."""
    with suppress(ConfigurationError):
        read(url=url)


@given(
    host=st.sampled_from(
        ["gateway.example", "[2001:db8::1]", "192.0.2.7", "LOCALHOST"]
    ),
    port=st.none() | st.integers(0, 65_535),
    path=st.text(ascii_letters + digits + "-._~/%"),
)
def test_an_address_that_was_held_is_held_as_it_is(
    host: str, port: int | None, path: str
) -> None:
    """Reading an address a second time changes nothing."""
    url = f"https://{host}{'' if port is None else f':{port}'}/{path}"
    assume(not path.rstrip("/").endswith("v1"))
    held = read(url=url).base_url

    again = read(url=held).base_url

    assert again == held


def test_a_password_in_the_address_is_not_shown() -> None:
    """A base URL may hold a secret by mistake, so its refusal does not repeat it."""
    with pytest.raises(ConfigurationError) as caught:
        read(url="https://me:canary@gateway.example")

    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.3", True),
        ("::1", True),
        ("gateway.example", False),
        ("localhost.example", False),
        ("0.0.0.0", False),  # noqa: S104 -- nobody listens
        ("::", False),
        ("192.168.0.1", False),
        ("", False),
    ],
    ids=str,
)
def test_only_this_machine_is_loopback(host: str, *, inside: bool) -> None:
    """A name or address is loopback only if it can lead nowhere else."""
    judged = is_loopback(host)

    assert judged is inside


# -- plain http to other machines ----------------------------------------------------

NAMES = st.sampled_from(["gateway", "gateway.shop", "192.0.2.7", "fd00::7"])


@st.composite
def spelt(draw: st.DrawFn, host: str) -> str:
    """Return *host* in another of its spellings."""
    if host == "fd00::7":
        return draw(st.sampled_from(["FD00::7", "fd00:0:0:0:0:0:0:7", "fd00::0007"]))
    cased = "".join(draw(st.sampled_from([x.lower(), x.upper()])) for x in host)
    return cased if host[0].isdigit() else cased + draw(st.sampled_from(["", "."]))


@given(data=st.data(), host=NAMES, port=st.sampled_from(["", ":8080"]))
def test_a_named_host_is_called_by_plain_http(
    data: st.DataObject, host: str, port: str
) -> None:
    """The owner may name a host, in any spelling and for all of its ports."""
    called, named = data.draw(spelt(host)), data.draw(spelt(host))
    base_url = f"http://[{called}]{port}" if ":" in host else f"http://{called}{port}"

    settings = read_settings(Secret("sk_test_1"), base_url, insecure_hosts=[named])

    assert settings.base_url == base_url.lower()
    assert not settings.is_local


@given(called=NAMES, named=st.sets(NAMES))
def test_only_named_hosts_are_called_by_plain_http(
    called: str, named: set[str]
) -> None:
    """A host is never named by another one, be it above, below or beside it."""
    assume(called not in named)
    address = f"[{called}]" if ":" in called else called

    with pytest.raises(ConfigurationError, match="that you name in insecure_hosts"):
        read_settings(Secret("sk_test_1"), f"http://{address}", insecure_hosts=named)


@given(
    key=KEYS
    | st.sampled_from(["sk_live_1", "sk_1", "SK_TEST_1", "sk_test", " sk_test_1"]),
    host=NAMES | st.sampled_from(["localhost", "127.0.0.1"]),
)
def test_no_live_key_goes_to_another_machine_in_plain(key: str, host: str) -> None:
    """Whatever is named: what may move money goes by TLS, or stays on this machine."""
    assume(not key.startswith("sk_test_"))
    address = f"[{host}]" if ":" in host else host
    settings = None

    with suppress(ConfigurationError):
        settings = read_settings(
            Secret(key), f"http://{address}", insecure_hosts=[host]
        )

    assert settings is None or settings.is_local


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param("gateway", id="bare-text"),
        pytest.param(b"gateway", id="bytes"),
        pytest.param(None, id="None"),
        pytest.param([""], id="empty"),
        pytest.param(["*"], id="wildcard"),
        pytest.param(["*.shop"], id="wildcard-below"),
        pytest.param(["http://gateway"], id="url"),
        pytest.param(["gateway:8080"], id="port"),
        pytest.param(["gate way"], id="space"),
        pytest.param([7], id="number"),
    ],
)
def test_hosts_that_are_none_are_refused(hosts: object) -> None:
    """A name that could never match is a mistake, also where the address is https."""
    with pytest.raises(
        ConfigurationError, match=r"^insecure_hosts .* must be a list of"
    ):
        read_settings(Secret("sk_test_1"), URL, insecure_hosts=hosts)  # type: ignore[arg-type]  # wrong types are the point


@given(st.lists(st.sampled_from(["gateway", "192.0.2.7", "fd00::7"])))
def test_a_variable_holds_names_between_commas(names: list[str]) -> None:
    """White space around names, and commas too many, mean nothing."""
    assert split_names(" , ".join(["", *names, ""])) == tuple(names)


# -- the environment's proxy ---------------------------------------------------------

PROXY = "http://canary:CANARYproxy@proxy.example:3128"
LABELS = st.sampled_from(["gateway", "shop", "example", "a"])
HOSTS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)


def proxied(url: object = URL, **environ: str) -> bool:
    """Tell whether the proxy is taken for *url*."""
    proxy = proxy_of_environment(url, environ)
    assert proxy is None or proxy.reveal() == PROXY
    return proxy is not None


@pytest.mark.parametrize(
    ("environ", "taken"),
    [
        pytest.param({"HTTPS_PROXY": PROXY}, True, id="upper"),
        pytest.param({"https_proxy": PROXY}, True, id="lower"),
        pytest.param(
            {"https_proxy": PROXY, "HTTPS_PROXY": "x:"}, True, id="lower-wins"
        ),
        pytest.param({"https_proxy": "", "HTTPS_PROXY": PROXY}, False, id="emptied"),
        pytest.param({"HTTPS_PROXY": ""}, False, id="empty"),
        pytest.param({}, False, id="none"),
        pytest.param({"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}, False, id="of-others"),
    ],
)
def test_the_proxy_for_https_is_taken(environ: dict[str, str], *, taken: bool) -> None:
    """Lower case wins, as everywhere; other variables are about other traffic."""
    assert proxied(**environ) is taken


@pytest.mark.parametrize(
    "url",
    ["http://gateway", "http://127.0.0.1:80", "https://localhost", "https://[::1]:1"],
)
def test_plain_http_and_this_machine_are_asked_directly(url: str) -> None:
    """A proxy would read what is plain, and its own loopback is another one's."""
    assert not proxied(url, HTTPS_PROXY=PROXY, HTTP_PROXY=PROXY)


@given(st.text() | st.lists(PIECES).map("".join) | st.none() | st.binary())
def test_an_unusable_address_has_no_proxy_or_one(url: object) -> None:
    """What is wrong with an address is told by who checks it, and not on the way."""
    proxied(url, HTTPS_PROXY=PROXY)


@given(
    host=HOSTS,
    port=st.sampled_from([443, 8443]),
    names=st.lists(
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["", "."]),
            HOSTS,
            st.sampled_from(["", ":443", ":8443"]),
        )
        | st.just("*"),
        max_size=3,
    ),
    comma=st.sampled_from([",", ", ", " ,"]),
)
def test_no_proxy_means_what_it_means_to_urllib(
    host: str, port: int, names: list[str], comma: str
) -> None:
    """Whoever has set it for other programs of Python has set it for this one."""
    no_proxy = comma.join(names)
    assume("*" not in names or names == ["*"])  # urllib takes it alone only

    taken = proxied(
        f"https://{host.upper()}:{port}", HTTPS_PROXY=PROXY, NO_PROXY=no_proxy
    )

    theirs = proxy_bypass_environment(f"{host}:{port}", {"no": no_proxy})
    assert taken is not bool(theirs)


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        pytest.param("https://[fd00::7]", "fd00:0::7", id="ipv6"),
        pytest.param("https://[fd00::7]", "[fd00::7]", id="ipv6-in-brackets"),
        pytest.param("https://gateway.example.", "gateway.example", id="rooted"),
        pytest.param("https://gateway.example", "other,*", id="star-among-others"),
    ],
)
def test_no_proxy_compares_hosts_in_one_form(url: str, no_proxy: str) -> None:
    """Two spellings of one host are one host."""
    assert not proxied(url, HTTPS_PROXY=PROXY, NO_PROXY=no_proxy)
    assert proxied(url, HTTPS_PROXY=PROXY, NO_PROXY=no_proxy, no_proxy="")


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "socks5://u:CANARYproxy@proxy:1",
        "CANARYproxy:1",
        "http://",
        "http://a:CANARYproxy",
        "http://a:1/CANARYproxy@proxy:1",
        "http://a:1?CANARYproxy@proxy:1",
        "http://a:1#CANARYproxy@proxy:1",
        "http://a:\udcffCANARYproxy@proxy:1",
    ],
)
def test_a_proxy_that_is_no_url_is_named_by_its_variable(name: str, value: str) -> None:
    """Who set it is told which it is; its password is shown nowhere."""
    with pytest.raises(ConfigurationError, match=f"variable {name} must") as caught:
        proxy_of_environment(URL, {name: value})

    del value
    assert leaked(channels(caught.value)) == []


# -- the fields that must be repeated -----------------------------------------------


@given(st.sets(st.sampled_from(ECHO_FIELDS)))
def test_any_choice_of_echo_fields_is_kept(fields: set[str]) -> None:
    """The caller chooses which fields an answer has to repeat, none included."""
    settings = read_settings(Secret("sk_test_1"), URL, fields)

    assert settings.echo_fields == fields


def test_all_echo_fields_are_checked_by_default() -> None:
    """Who says nothing gets the whole check."""
    settings = read()

    assert settings.echo_fields == set(ECHO_FIELDS)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(("id", "customer_phone"), id="unknown-name"),
        pytest.param("id", id="bare-text"),
        pytest.param("", id="empty-text"),
        pytest.param((1,), id="number-inside"),
    ],
)
def test_echo_fields_that_do_not_exist_are_refused(fields: object) -> None:
    """A misspelt field would be a check that never runs."""
    with pytest.raises(ConfigurationError, match=r"^echo_fields may hold id, "):
        read_settings(Secret("sk_test_1"), URL, fields)  # type: ignore[arg-type]  # wrong types are the point


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(None, id="None"),
        pytest.param(5, id="int"),
        pytest.param([["id"]], id="nested"),
    ],
)
def test_echo_fields_of_a_wrong_type_are_a_configuration_error(fields: object) -> None:
    """Whatever is wrong with the constructor's arguments has one class of error."""
    with pytest.raises(ConfigurationError):
        read_settings(Secret("sk_test_1"), URL, fields)  # type: ignore[arg-type]  # wrong types are the point


# -- the whole ----------------------------------------------------------------------


def test_settings_do_not_show_the_key() -> None:
    """Settings may be logged: the key is dots, and so is what is made of it."""
    settings = read(key="sk_canary")

    shown = repr(settings)

    assert shown.count("Secret(•••)") == 3
    assert "canary" not in shown


@pytest.mark.parametrize(
    ("key", "url", "missing"),
    [
        pytest.param("sk_1", URL, (), id="none"),
        pytest.param("", URL, ("CONVERGEGATE_API_KEY",), id="key"),
        pytest.param("sk_1", "", ("CONVERGEGATE_BASE_URL",), id="url"),
        pytest.param(
            "", "", ("CONVERGEGATE_API_KEY", "CONVERGEGATE_BASE_URL"), id="both"
        ),
    ],
)
def test_missing_variables_are_named(
    key: str, url: str, missing: tuple[str, ...]
) -> None:
    """Whoever forgot to set a variable is told its name, and all of them at once."""
    named = missing_variables(Secret(key), url)

    assert named == missing
