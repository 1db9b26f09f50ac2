from __future__ import annotations

import msgspec
import pytest

from wsproxy.venues.jsontext import BAD_JSON, Fields


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"[1]", b'{"a":', b'{"\xff":1}', b'{"a":' + b"[" * 100_000]
)
def test_bad_json_covers_whatever_decoding_raises(text: bytes) -> None:
    with pytest.raises(BAD_JSON):
        msgspec.json.decode(text, type=Fields)


def test_fields_keep_order_and_tokens() -> None:
    fields = msgspec.json.decode(b'{ "b" : 1.50 , "a" : "x" }', type=Fields)
    assert msgspec.json.encode(fields) == b'{"b":1.50,"a":"x"}'
