"""Reads files in processes of their own, watched: what is called, how much memory is taken.

    python -m tests.generators.watched GOOD FILE…

Prints a line of JSON for a call of os.system, then one for each file: message ("" if it was read), events that reading has no need
of, bytes of memory above those of reading GOOD, seconds of its processor.
"""

import encodings.utf_8_sig  # noqa: F401 - a codec that Python imports when it is first used
import json
import os
import resource
import sys
import time

from dissect.errors import CheckpointError
from dissect.generators.checkpoint import read

NEEDED = {"open", "mmap.__new__", "os.listdir", "os.scandir", "builtins.id"}


def watch(path, read):
    events = []
    sys.addaudithook(lambda event, _: event in NEEDED or events.append(event))
    started, message = time.process_time(), ""
    try:
        read(path)
    except CheckpointError as error:
        message = str(error)
    seconds = time.process_time() - started
    found = list(events)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"message": message, "events": found, "memory": memory, "seconds": seconds}


def in_a_child(path, read=read):
    """As a child of this process, which has imported everything."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        answer = json.dumps(watch(path, read)).encode()
        os.write(send, answer)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(answer) if status == 0 else {"message": f"died with {status}"}


def main():
    good, *files = sys.argv[1:]
    read(good)
    usual = in_a_child(good)["memory"]
    print(json.dumps(in_a_child("true", os.system)))
    for path in files:
        found = in_a_child(path)
        print(json.dumps(found | {"memory": found.get("memory", 0) - usual}))


if __name__ == "__main__":
    main()
