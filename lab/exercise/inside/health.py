"""Asks for one page so many times a second, and prints how long each answer took, in milliseconds."""

from __future__ import annotations

import http.client
import json
import sys
import time

asked = json.load(sys.stdin)
took, failed = [], 0
end = time.monotonic() + asked["seconds"]
while time.monotonic() < end:
    begun = time.monotonic()
    link = http.client.HTTPConnection(asked["address"], asked["port"], timeout=3)
    try:
        link.request("GET", asked["path"], headers={"Host": asked["address"], "Connection": "close"})
        answer = link.getresponse()
        answer.read()
        took.append(1000 * (time.monotonic() - begun))
    except (OSError, http.client.HTTPException):
        failed += 1
    link.close()
    time.sleep(max(0, begun + 1 / asked["rate"] - time.monotonic()))
json.dump({"took": took, "failed": failed}, sys.stdout)
