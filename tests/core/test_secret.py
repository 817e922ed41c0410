import copy
import pickle
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async._core.secret import Secret


@attrs.frozen
class Envelope:
    content: Secret[str]


@given(st.text())
def test_a_secret_looks_like_any_other(value: str) -> None:
    """No way of turning a secret into text tells anything of it, not even its size."""
    secret = Secret(value)

    shown = {repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret}  # noqa: UP031 -- logging formats like this

    assert shown == {"Secret(•••)"}


@given(st.text())
def test_a_secret_is_revealed_by_name(value: str) -> None:
    """Who asks by name gets the text as it was put in."""
    secret = Secret(value)

    revealed = secret.reveal()

    assert revealed == value


@pytest.mark.parametrize(
    "leak",
    [
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        *(
            pytest.param(lambda secret, n=n: pickle.dumps(secret, n), id=f"pickle-{n}")
            for n in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
def test_a_secret_does_not_travel(leak: Callable[[Secret[str]], object]) -> None:
    """A secret is neither copied nor pickled, and the refusal does not show it."""
    secret = Secret("canary")

    with pytest.raises(TypeError) as caught:
        leak(secret)

    assert str(caught.value) == "a secret is neither pickled nor copied"


def test_a_record_shows_only_that_it_holds_a_secret() -> None:
    """A secret stays silent inside the `repr` of whatever holds it."""
    envelope = Envelope(Secret("canary"))

    shown = repr(envelope)

    assert shown == "Envelope(content=Secret(•••))"


def test_a_secret_takes_no_further_attributes() -> None:
    """A secret has no `__dict__` that a debugger or a logger could print."""
    secret = Secret("canary")

    dressed = hasattr(secret, "__dict__")

    assert not dressed
