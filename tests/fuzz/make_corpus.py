#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seed corpora of the fuzzers beside this file: make_corpus.py"""
import os

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def seed(fuzzer, name, data):
    os.makedirs(os.path.join(HERE, fuzzer), exist_ok=True)
    with open(os.path.join(HERE, fuzzer, name), "wb") as f:
        f.write(data)


def h(text):
    return bytes.fromhex(text.replace(" ", ""))


seed("header", "empty_id", h("48650103 00000000 0000000000000000"))
seed("header", "session", h("48650103 00000000 1122334455667788 16fefd"))
seed("header", "expresslane", h("48650103 00010000 1122334455667788 0000000000000007"))
seed("header", "reject", h("48650101 00000000 ffffffffffffffff"))
seed("header", "aggressive_1_2", h("48650102 01000000 123456789abcdef0"))

KEY = bytes(range(1, 33))
PASSWORD = h("04010206") + b"me".ljust(50, b"\0") + b"secret".ljust(50, b"\0")
SUCCESS = (b"\x06" + b"".join(t.ljust(24, b"\0") for t in
                              (b"10.125.0.5", b"10.125.0.6", b"10.125.0.1", b"1350")) +
           h("1122334455667788"))

seed("frame", "noop_goodbye", h("01 0c"))
seed("frame", "ping", h("02 f00b 0000 01 02 1234 0010") + bytes(range(16)))
seed("frame", "pong", h("03 0000 0010 00000000000003d9 00000000000003e8"))
seed("frame", "auth_password", PASSWORD)
seed("frame", "auth_token", h("04 02 0005") + b"token")
seed("frame", "auth_versioned", h("04 03 01 03 0005") + b"token")
seed("frame", "auth_callback", h("04 17 0004 01020304"))
seed("frame", "auth_largest", h("04 02 0543") + b"t" * 1347)
seed("frame", "auth_success", SUCCESS)
seed("frame", "auth_failure", b"\x07" + bytes(52) + b"\x0c")
seed("frame", "data", h("05 0003 febeaa 10 0003 febeaa 05 0000"))
seed("frame", "fragments", h("0f 000b 1234 2acf") + b"fragmentary" + h("11 0001 1234 009b 41"))
seed("frame", "server_config", h("0e 000d") + b"server config")
seed("frame", "encoding", h("12 0000000000000201 01 13 0000000000000202 00"))
seed("frame", "expresslane", h("14 02 80 0000 0000000000000001") + KEY +
     h("14 01 c0 0000 123456789abcdef0") + KEY)
seed("frame", "unknown", h("7f 01"))
