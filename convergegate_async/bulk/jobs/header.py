"""What a journal says of its job: whose it is, and whether a row is still the same."""

import secrets
from functools import lru_cache
from hashlib import blake2b

from convergegate_async._core.codec import encode_form
from convergegate_async._version import __version__
from convergegate_async.bulk.journal.records import JobHeader, JournalError
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.models import CheckoutSessionRequest

from .job_plan import JobPlan


def new_header(
    factory: CheckoutSessionFactory, job: str, plan: JobPlan | None = None
) -> JobHeader:
    """Return what a new journal says of the job and of whom it is run for."""
    salt, context, plan = (
        secrets.token_bytes(16),
        context_of(factory),
        plan or JobPlan(),
    )
    return JobHeader(
        job=job,
        base_url=context.base_url,
        live=context.is_live,
        api_key_fingerprint=context.api_key_fingerprint(salt),
        keys_honoured=plan.rules.keys_honoured,
        salt=salt,
        sdk_version=__version__,
        source=plan.source,
        options=plan.to_json(),
        begun_at=context.runtime.now(),
    )


def require_same_home(header: JobHeader, factory: CheckoutSessionFactory) -> None:
    """Refuse to go on with a job elsewhere, or under another key.

    Raises:
        JournalError: With what the job was begun with.
    """
    problem = None
    context = context_of(factory)
    if header.live is not context.is_live:
        modes = ("a test", "a live")
        problem = (
            f"was begun with {modes[header.live]} key, and this is "
            f"{modes[context.is_live]} key"
        )
    elif header.base_url != context.base_url:
        problem = f"was begun at {header.base_url}, not at {context.base_url}"
    elif header.api_key_fingerprint != context.api_key_fingerprint(header.salt):
        problem = (
            "was begun with another API key; if that one was wrong, remove the journal "
            "and run the job anew"
        )
    if problem is not None:
        message = f"the job {header.job} {problem}"
        raise JournalError(message)


def fingerprint(request: CheckoutSessionRequest, salt: bytes) -> bytes:
    """Return 16 bytes that tell whether a row is still the same, and nothing else."""
    return fingerprint_of(encode_form(request), salt)


def fingerprint_of(body: bytes, salt: bytes) -> bytes:
    """Return the `fingerprint` of the request whose *body* it is."""
    keyed = _keyed(salt).copy()
    keyed.update(body)
    return keyed.digest()


@lru_cache(maxsize=8)  # to key it takes two fifths of a fingerprint
def _keyed(salt: bytes) -> blake2b:
    return blake2b(digest_size=16, key=salt)
