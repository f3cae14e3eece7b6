"""Serializer for request bodies other than JSON and forms."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def stream(_, value):
    return value if isinstance(value, bytes) else str(value).encode()
