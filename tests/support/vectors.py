"""The webhook signature's test vectors, and what a wrong reading makes of the first.

A vector is secret, timestamp, body and signature; the check of a signature knows
nothing of what a body means.
"""

import json

S = "sk_test_vector_0000000000000001"
S2 = "sk_test_vector_0000000000000002"
NOW = b"1700000000"
B1 = b'{"id":"evt_1","type":"checkout.session.completed"}'
POLISH = '{"customer_firstname":"Zażółć","city":"Łódź"}'

VECTORS: dict[str, tuple[str, bytes, bytes, str]] = {
    "V1": (
        S,
        NOW,
        B1,
        "37107eb9a99ce26b4a4722e89e81b9d968cc6069916feddf0ecf88c286b95c8b",
    ),
    "V2": (
        S,
        NOW,
        b"",
        "784c3f19e77e2c5652a74002afd1643a989bb82c70edc3a561c73dc71889b871",
    ),
    "V3": (
        S,
        NOW,
        POLISH.encode(),
        "1fbf1eda3eb63377c8e4d5c4f5975cad04f5f00703f046639b1976534bac7543",
    ),
    "V4": (
        S,
        NOW,
        json.dumps(json.loads(POLISH), separators=(",", ":")).encode(),
        "eec3b98f3ab67a03beb6b4834126ffc5da7e0c043f879aad178076879e22040b",
    ),
    "V5": (
        S,
        NOW,
        B1.replace(b":", b": ", 1),
        "8c4f2b7cbb7a6f519eeb7489193a8144665c8e5109f1ea5542587f935020f07e",
    ),
    "V6": (
        S,
        NOW,
        B1 + b"\n",
        "d2b679fb231f718bd73bea06e0d0305b099daaa6bd4ee59af2d7fbd9af1aa9f2",
    ),
    "V7": (
        S,
        NOW,
        B1 + b"\r\n",
        "d067f059d7854ef9b3f635a1f8d458515281e632015c40c92a9ac1beddb5300e",
    ),
    "V8": (
        S,
        b"1700000001",
        B1,
        "30ede6575c6eec353aeb6f6dfcc905ad13498ea0e505f34f5118d7f7bad49291",
    ),
    "V9": (
        S,
        b"1700000000000",
        B1,
        "9726248c5b001b76e03e8820cb9373df87f06c3fc6767762a4378538ae6bafa6",
    ),
    "V10": (
        S,
        NOW,
        b"000" + B1,
        "9726248c5b001b76e03e8820cb9373df87f06c3fc6767762a4378538ae6bafa6",
    ),
    "V11": (
        S2,
        NOW,
        B1,
        "a4bb2f889ebbed9732a2d64d45aedc98f95dc0de3fdad6b13fc467d66a7302a8",
    ),
    "V12": (
        S,
        NOW,
        bytes(range(256)),
        "eae5e8bf3d611753595f3c0eb8c965e28e224c8c01c37be7909b3dda64ad63b4",
    ),
    "V13": (
        S,
        NOW,
        b"a" * 1_048_576,
        "f5d1730bfbecf7d1f50034315d01184c635d3b0a480219c05f4c72e8b22ce54d",
    ),
    "V14": (
        S,
        NOW,
        b"\xef\xbb\xbf" + B1,
        "5086666022bb1eda9326ef65a7111530f093891f4f0215748c19f3067be2b5e1",
    ),
}
OF_EVENTS = ("V1", "V5", "V6", "V7", "V8", "V9", "V11")

WRONG_CONSTRUCTIONS = {
    "dot-between": "1eadd8023fe2f70e7d5b59b72938bfdcee494c6da9f5658be8ea044d71790920",
    "key-unhashed": "d18af116ff739b93dc47d750f261f7f60580ae6357fb829cc552b95b18f7e2d3",
    "body-first": "d6c5a02a9671b3739ad155afaeb5923e44fa1cc8f4a0b3a8a2bb9f855963f378",
    "body-only": "d13e184d2641d54080e8c00b823482315a96577687cb7fa8ed4d9c881bea702f",
    "plain-sha256": "307093fa17b11e4d3ce9ba4c08e8acda728e7990a44a52d7195880d980f524c2",
    "base64": "NxB+uamc4mtKRyLonoG52WjMYGmRb+3fDs+Iwoa5XIs=",
}
