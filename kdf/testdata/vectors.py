# Writes blake2b.json beside itself: cases for package kdf by Python's hashlib.
import hashlib, json, os, random

rnd = random.Random(1)
cases = []


def add(size, key, salt, personal, data):
    # salt and personal travel as text in Go, so they are made of ASCII here.
    digest = hashlib.blake2b(data, digest_size=size, key=key, salt=salt, person=personal).hexdigest()
    cases.append({"size": size, "key": key.hex(), "salt": salt.decode(), "personal": personal.decode(),
                  "input": data.hex(), "sum": digest})


def text(length):
    return bytes(rnd.randrange(33, 127) for _ in range(length))


for size in (32, 64):
    add(size, b"", b"", b"", b"")
    for key in (1, 31, 32, 63, 64):
        add(size, rnd.randbytes(key), b"", b"", b"")
    for salt in (b"p", b"r", b"di", b"sdd", b"ts", b"mk", b"mpk"):
        add(size, rnd.randbytes(32), salt, b"3ma-mdev", b"")
    for length in (1, 127, 128, 129, 255, 256, 257, 1000):
        add(size, b"", text(16), text(16), rnd.randbytes(length))
        add(size, rnd.randbytes(64), text(16), text(16), rnd.randbytes(length))
    for _ in range(60):
        add(size, rnd.randbytes(rnd.randrange(65)), text(rnd.randrange(17)), text(rnd.randrange(17)),
            rnd.randbytes(rnd.randrange(300)))

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "blake2b.json"), "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
