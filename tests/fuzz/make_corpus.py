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

# mode (1: version 1, 2: two keys, 4: a run), then 0 or 1, counter; or 2, length, bytes
LANE = h("48650103 00010000 1122334455667788")
GOLDEN = h("0000000000000007a0a1a2a3a4a5a6a7a8a9aaabede3d7d67e4d5b6e759a885165f74313001c0000"
           "fcd13d7afdb45a043f0fc7b7fbf820815daab01f50689779275ad5fc")
seed("lane", "in_order", h("00 00 0001 00 0002 00 0003"))
seed("lane", "replayed", h("00 00 0001 00 0001 00 2002 00 0001 00 2001 00 0003"))
seed("lane", "two_keys", h("02 01 0001 00 0003 01 0002 00 0004 01 0005"))
seed("lane", "run", h("04 00 0001 00 0002 00 0002 00 0004 01 0003"))
seed("lane", "run_two_keys_v1", h("07 01 0001 00 0002 01 0003 00 0003 01 0004"))
seed("lane", "bytes", h("00 00 0001 02 54") + LANE + GOLDEN + h("00 0002"))
seed("lane", "truncated", h("01 02 37") + LANE + GOLDEN[:39] + h("02 38") + LANE + GOLDEN[:40])
seed("lane", "run_bytes", h("04 00 0001 00 0002 02 54") + LANE + GOLDEN)


def packet(name, flags, start, off, choice, ip, gso_size=0):
    """flags, csum_start, csum_off, gso_size, choice (bit 0: source; then gso_type), new address"""
    head = bytes([flags]) + b"".join(v.to_bytes(2, "big") for v in (start, off, gso_size))
    seed("packet", name, head + bytes([choice]) + h("0a7d0005") + h(ip))


UDP = "4500002100010000401112806440000601020304 9c400035000db740 68656c6c6f"
TCP = ("4500002c0001000040061280 64400006 01020304 9c4001bb1122334400000000600220002d790000"
       "020405b4")
packet("udp", 0, 0, 0, 1, UDP)
packet("udp_partial", 1, 20, 6, 1, UDP)
packet("udp_no_checksum", 0, 0, 0, 0, UDP.replace("b740", "0000"))
packet("udp_options", 0, 0, 0, 1, "46" + UDP[2:40] + "01010100" + UDP[40:])
packet("tcp", 0, 0, 0, 0, TCP)
packet("tcp_partial", 1, 20, 16, 1, TCP)
packet("tcp_super", 1, 20, 16, 3, TCP, 2)
packet("fragment", 0, 0, 0, 1, UDP.replace("00010000", "00012001"))
packet("icmp", 0, 0, 0, 1, "4500001c00010000400165dc0a7d00050a7d00060800f7fd00010001")
packet("ipv6", 0, 0, 0, 1, "60" + "00" * 39)
packet("encoded", 4, 0, 0, 1, "00ff01")


def words(data):
    total = sum(int.from_bytes(data[i:i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def pseudo(addresses, proto, length):
    return words(addresses + proto.to_bytes(2, "big") + length.to_bytes(2, "big"))


def ipv4(proto, l4, ident=0xfffe, options=b"", fragment=0x4000):
    head = bytearray(h("45000000 0000 0000 4000 0000 c6120001 c6130002") + options)
    head[0] += len(options) // 4
    head[2:4] = (len(head) + len(l4)).to_bytes(2, "big")
    head[4:8] = ident.to_bytes(2, "big") + fragment.to_bytes(2, "big")
    head[9] = proto
    head[10:12] = (0xffff - words(bytes(head))).to_bytes(2, "big")
    return bytes(head) + l4


def ipv6(proto, l4, extensions=b"", first=None):
    head = h("60012345 0000 0040 20010db8000a000000000000000000 01 20010db8000b000000000000000000 02")
    return (head[:4] + (len(extensions) + len(l4)).to_bytes(2, "big") +
            bytes([proto if first is None else first]) + head[7:] + extensions + l4)


V4 = h("c6120001 c6130002")
V6 = h("20010db8000a000000000000000000 01 20010db8000b000000000000000000 02")


def tcp(addresses, payload, seq=0xfffffff0, flags=0x19, options=b"", partial=True):
    head = bytearray(h("9c4001bb 00000000 00000001 5000 2000 0000 0000") + options)
    head[4:8] = seq.to_bytes(4, "big")
    head[12] = (5 + len(options) // 4) << 4
    head[13] = flags
    total = pseudo(addresses, 6, len(head) + len(payload))
    if not partial:
        total = 0xffff - words(total.to_bytes(2, "big") + bytes(head) + payload)
    head[16:18] = total.to_bytes(2, "big")
    return bytes(head) + payload


def udp(addresses, payload, partial=True):
    length = 8 + len(payload)
    head = h("9c400035") + length.to_bytes(2, "big")
    total = pseudo(addresses, 17, length)
    if not partial:
        total = 0xffff - words(total.to_bytes(2, "big") + head + b"\0\0" + payload)
    return head + total.to_bytes(2, "big") + payload


def superpacket(name, kind, start, off, gso_size, data, flags=1):
    """flags, csum_start, csum_off, gso_size, gso_type"""
    seed("segment", name, bytes([flags]) + b"".join(v.to_bytes(2, "big") for v in (start, off, gso_size)) +
         bytes([kind]) + data)


TEXT = bytes(range(64, 127)) * 4
TIMES = h("0101080a 01020304 05060708")
superpacket("tcp4", 1, 20, 16, 100, ipv4(6, tcp(V4, TEXT)))
superpacket("tcp4_odd", 1, 20, 16, 7, ipv4(6, tcp(V4, TEXT, flags=0x90)))
superpacket("tcp4_options", 1, 32, 16, 60, ipv4(6, tcp(V4, TEXT, options=TIMES), options=b"\1" * 12))
superpacket("tcp4_complete", 1, 0, 0, 100, ipv4(6, tcp(V4, TEXT, partial=False)), flags=0)
superpacket("tcp4_one", 1, 20, 16, 300, ipv4(6, tcp(V4, TEXT)))
superpacket("tcp4_tiny", 1, 20, 16, 1, ipv4(6, tcp(V4, TEXT[:40])))
superpacket("tcp6", 2, 40, 16, 50, ipv6(6, tcp(V6, TEXT)))
superpacket("tcp6_extensions", 2, 64, 16, 50,
            ipv6(6, tcp(V6, TEXT), h("3c00 0104 00000000 0601 0000 00000000 0000000000000000"), 0))
superpacket("udp4", 3, 20, 6, 50, ipv4(17, udp(V4, TEXT)))
superpacket("udp6", 3, 40, 6, 50, ipv6(17, udp(V6, TEXT)))
superpacket("udp6_extension", 3, 48, 6, 50, ipv6(17, udp(V6, TEXT), h("1100 0000 00000000"), 43))
superpacket("tcp4_fragment", 1, 20, 16, 100, ipv4(6, tcp(V4, TEXT), fragment=0x2000))
superpacket("tcp4_size_0", 1, 20, 16, 0, ipv4(6, tcp(V4, TEXT)))
superpacket("single_udp", 0, 20, 6, 0, ipv4(17, udp(V4, TEXT)))
superpacket("single_tcp6", 0, 40, 16, 0, ipv6(6, tcp(V6, TEXT)))
superpacket("single_complete", 0, 0, 0, 0, ipv4(17, udp(V4, TEXT, partial=False)), flags=0)
superpacket("encoded", 0, 0, 0, 0, h("00ff01"), flags=4)


def batch(name, *packets):
    """of each packet: its length, flags, itself"""
    seed("coalesce", name, b"".join(len(p).to_bytes(2, "big") + b"\x20" + p for p in packets))


def row4(n, size=60, last=0x10, **more):
    return [ipv4(6, tcp(V4, TEXT[i:i + size], seq=1000 + i * size, flags=last if i + 1 == n else 0x10,
                        partial=False, **more), ident=i) for i in range(n)]


def row6(n, size=60):
    return [ipv6(6, tcp(V6, TEXT[i:i + size], seq=0xffffff00 + i * size, flags=0x10, partial=False))
            for i in range(n)]


def udp_row4(n, size=60):
    return [ipv4(17, udp(V4, TEXT[i:i + size], partial=False), ident=i, fragment=0) for i in range(n)]


def udp_row6(n, size=60):
    return [ipv6(17, udp(V6, TEXT[i:i + size], partial=False)) for i in range(n)]


ACK = ipv4(6, tcp(V4, b"", flags=0x10, partial=False))
batch("tcp4", *row4(5, last=0x18))
batch("tcp4_options", *row4(3, options=TIMES))
batch("tcp4_short_last", *row4(3), row4(4, 60)[3][:40] + b"")
batch("tcp6", *row6(3))
batch("udp4", *udp_row4(4))
batch("udp6", *udp_row6(4))
batch("interleaved", *[p for pair in zip(row4(4), udp_row6(4)) for p in pair])
batch("ack_between", *row4(2), ACK, *row4(4)[2:])
batch("fragment_between", *row4(2), ipv4(17, udp(V4, TEXT[:9], partial=False), fragment=0x2000), *row4(4)[2:])
batch("icmp_between", *row4(2), h("4500001c00010000400165dc0a7d00050a7d00060800f7fd00010001"), *row4(4)[2:])
batch("many_small", *row4(70, size=1))
batch("empty")


def tun(name, flags, gso_type, gso_size, start, off, ip, mask=0x6f, mtu=1350):
    """granted mask, MTU; virtio header as a little-endian machine reads it; packet"""
    head = bytes([mask]) + mtu.to_bytes(2, "big") + bytes([flags, gso_type])
    seed("tun_header", name, head + b"".join(v.to_bytes(2, "little") for v in
                                             (0, gso_size, start, off)) + h(ip))


TCP6 = ("60000000001806ff" + "fd000001" + "00" * 12 + "fd000002" + "00" * 12 +
        "9c4001bb 11223344 00000000 50100200 0000 0000 61626364")
tun("single", 0, 0, 0, 0, 0, UDP)
tun("checked", 2, 0, 0, 0, 0, UDP)
tun("partial", 1, 0, 0, 20, 6, UDP)
tun("tcp4", 1, 1, 1, 20, 16, TCP + "6162")
tun("tcp4_cwr", 1, 0x81, 1, 20, 16, TCP + "6162")
tun("tcp6", 1, 4, 3, 40, 16, TCP6)
tun("tcp6_extended", 1, 4, 3, 48, 16, TCP6.replace("06ff", "3cff", 1)[:80] + "0600010400000000" +
    TCP6[80:].replace(" ", ""))
tun("udp", 1, 5, 2, 20, 6, UDP)
tun("ufo", 1, 3, 2, 20, 6, UDP)
tun("not_granted", 1, 5, 2, 20, 6, UDP, mask=7)
tun("small_mtu", 1, 1, 2, 20, 16, TCP + "616263", mtu=41)
