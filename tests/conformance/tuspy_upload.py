"""Uploads a file with tuspy: tuspy_upload.py HOW ENDPOINT FILE HEADERS-AS-JSON

Prints the result as JSON.
"""

import asyncio
import json
import os
import sys

from tusclient import client

CHUNK = 256 * 1024


def main(how, endpoint, path, headers):
    tus = client.TusClient(endpoint, headers=headers)
    if how == "options":
        import requests

        answer = requests.options(endpoint, timeout=10)
        return {
            "version": answer.headers["Tus-Version"],
            "extensions": answer.headers["Tus-Extension"].split(","),
        }
    metadata = {"filename": os.path.basename(path), "filetype": "application/octet-stream"}
    options = {"chunk_size": CHUNK, "metadata": metadata}
    if how == "async":
        uploader = tus.async_uploader(path, **options)
        asyncio.run(uploader.upload())
        return {"url": uploader.url, "offset": uploader.offset}
    uploader = tus.uploader(path, upload_checksum=how == "checksums", **options)
    if how == "resume":
        uploader.upload(stop_at=4 * CHUNK)
        uploader = tus.uploader(path, url=uploader.url, chunk_size=CHUNK)
        assert uploader.offset == 4 * CHUNK, uploader.offset
    uploader.upload()
    return {"url": uploader.url, "offset": uploader.offset}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4], json.loads(sys.argv[4]))))
