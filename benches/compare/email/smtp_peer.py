"""Python's smtplib: as many threads as connections, each with a connection that it keeps.

Arguments: port, connections, count, file with the mail. Prints one line of JSON.
"""
import itertools
import json
import smtplib
import sys
import threading
import time

port, connections, count = map(int, sys.argv[1:4])
with open(sys.argv[4], "rb") as file:
    mail = file.read()
numbers = itertools.count()
lock = threading.Lock()


def work():
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        while True:
            with lock:
                if next(numbers) >= count:
                    return
            smtp.sendmail("news@example.com", ["reader@example.org"], mail)


threads = [threading.Thread(target=work) for _ in range(connections)]
begun = time.perf_counter()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"seconds": time.perf_counter() - begun, "count": count}))
