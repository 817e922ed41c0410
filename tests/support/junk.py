"""What is sent in the place of headers: any type, and texts that cannot be spelled."""

from hypothesis import strategies as st

WILD_TEXT = st.text(st.characters())  # lone surrogates included
NAMES = st.sampled_from(
    ["Sec-Timestamp", "SEC-SIGNATURE", b"sec-timestamp", b"Sec-Signature", "Host"]
)
SCALARS = st.none() | st.integers() | st.binary() | WILD_TEXT | NAMES
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(SCALARS, inner)
    ),
    max_leaves=8,
)
