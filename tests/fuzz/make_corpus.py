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
