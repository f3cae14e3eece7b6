"""Uses a server through the client that openapi-python-client generates from its OpenAPI document.

    python_client.py ADDRESS TOKEN    with the generated package on PYTHONPATH
"""

import sys
from http import HTTPStatus

from sortie_recording_client import AuthenticatedClient, Client
from sortie_recording_client.api.administration import get_admin_audit
from sortie_recording_client.api.recordings import get_recordings, get_recordings_id
from sortie_recording_client.api.server import get_info
from sortie_recording_client.api.sessions import get_sessions, post_sessions, post_sessions_id_recording_start
from sortie_recording_client.api.signing_in import get_auth_me
from sortie_recording_client.models import NewSession, Problem, RecordingStatus, Role, SessionStatus


def main(address: str, token: str) -> None:
    with Client(base_url=address) as anonymous:
        assert get_info.sync(client=anonymous).recording_enabled is True
        refused = get_recordings.sync_detailed(client=anonymous)
        assert refused.status_code == HTTPStatus.UNAUTHORIZED, refused

    with AuthenticatedClient(base_url=address, token=token) as client:
        me = get_auth_me.sync(client=client)
        assert Role.ADMIN in me.roles, me
        session = post_sessions.sync(client=client, body=NewSession(app_id="generated-python"))
        assert session.status is SessionStatus.RUNNING, session
        assert session.id in [it.id for it in get_sessions.sync(client=client, limit=10)]
        started = post_sessions_id_recording_start.sync(session.id, client=client)
        assert started.status is RecordingStatus.RECORDING, started
        recording = get_recordings_id.sync(started.recording_id, client=client)
        assert recording.status is RecordingStatus.RECORDING, recording
        assert recording.session_id == session.id
        assert started.recording_id in [it.id for it in get_recordings.sync(client=client, status="recording")]
        missing = get_recordings_id.sync_detailed("unknown", client=client)
        assert missing.status_code == HTTPStatus.NOT_FOUND, missing
        assert isinstance(missing.parsed, Problem) or missing.parsed is None
        assert get_admin_audit.sync(client=client, limit=5)
    print("openapi-python-client: 1 passed, 0 failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
