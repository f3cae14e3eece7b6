"""How bodies are written that are neither JSON nor a form."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def stream(_, value):
    return value if isinstance(value, bytes) else str(value).encode()
