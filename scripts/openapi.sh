#!/usr/bin/env bash
# Tests a server against its own OpenAPI description. First clients that openapi-python-client and openapi-typescript
# generate from it use the server. Then schemathesis sends boundary values, wrong values and chains of requests: no
# response may be a 500 or contradict the description.
#
#   SORTIE_SERVER=…/sortie-server scripts/openapi.sh [OPTIONS OF schemathesis run]
source "$(dirname "$0")/common.sh"

python=$(python_dir tests/openapi/requirements.txt)/bin/python
folder=$(mktemp -d)
server=
end() {
    [[ -z $server ]] || { kill "$server" && wait "$server"; } || true
    rm -rf "$folder"
}
trap end EXIT

port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
address=http://127.0.0.1:$port
SORTIE_VIDEO_RECORDING_ENABLED=true SORTIE_HOST=127.0.0.1 SORTIE_PORT=$port SORTIE_DB=$folder/sortie.db \
    SORTIE_RECORDING_STORAGE_PATH=$folder/recordings SORTIE_ADMIN_PASSWORD='correct horse' SORTIE_LOG=warn \
    "$SORTIE_SERVER" >"$folder/out" 2>"$folder/log" &
server=$!

# The administrator's token, once the server answers.
token=$("$python" - "$address" <<'PYTHON'
import json, sys, time, urllib.request
body = json.dumps({"username": "admin", "password": "correct horse"}).encode()
request = urllib.request.Request(sys.argv[1] + "/api/auth/login", body, {"Content-Type": "application/json"})
for _ in range(300):
    try:
        print(json.load(urllib.request.urlopen(request))["access_token"])
        break
    except OSError:
        time.sleep(0.1)
PYTHON
)
[[ -n $token ]] || die "The server does not start." "$(tail -5 "$folder/log")"

status=0
say "Generated Python client"
(cd "$folder" && curl --silent --fail --show-error "$address/api/openapi.json" -o openapi.json \
    && "$python" -m openapi_python_client generate --path openapi.json --config "$ROOT/tests/openapi/python_client.yml" --meta none \
        --output-path sortie_recording_client --fail-on-warning \
    && PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 "$python" "$ROOT/tests/openapi/python_client.py" "$address" "$token") || status=1

say "Generated TypeScript client"
programs=$ROOT/tests/openapi/node_modules
(mkdir "$folder/typescript" && cd "$folder/typescript" && ln -s "$programs" node_modules \
    && cp "$ROOT"/tests/openapi/{client.ts,tsconfig.json} . && echo '{ "type": "module" }' >package.json \
    && node node_modules/openapi-typescript/bin/cli.js ../openapi.json --output schema.d.ts \
    && node node_modules/typescript/bin/tsc \
    && node client.js "$address" "$token") || status=1

say "schemathesis"
# Excluded: endless streams, and routes that would end this sign-in.
(cd tests/openapi && SCHEMATHESIS_HOOKS=hooks PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 "$python" -m schemathesis.cli run "$address/api/openapi.json" \
    --header "Authorization: Bearer $token" --max-examples 10 --max-time 90 --request-timeout 10 --seed 1 \
    --no-shrink --continue-on-failure --generation-database none \
    --exclude-path /api/events --exclude-path /api/auth/logout --exclude-path /api/auth/password \
    --warnings off "$@") || status=1
# Errors in the server's log count as failures.
if grep -q '"level":"ERROR"' "$folder/log"; then
    say "The server's log has errors:"
    grep '"level":"ERROR"' "$folder/log" | cut -c1-400 | sort | uniq -c | sort -rn | head -20
    status=1
fi
exit "$status"
