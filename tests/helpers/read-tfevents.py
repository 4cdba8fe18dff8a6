"""Reads TensorBoard event files and prints their events as JSON, one list for each file.

Written from the formats' descriptions and in nothing from the writer under test:
TFRecord (https://www.tensorflow.org/tutorials/load_data/tfrecord), CRC-32C (RFC 3720, a bit at a time), the wire format
of protocol buffers (https://protobuf.dev/programming-guides/encoding) and the field numbers of event.proto and
summary.proto. Anything that is not as they say ends it with an error.
"""

import json
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    place = 0
    while place < len(data):
        head = data[place : place + 8]
        length, head_sum = struct.unpack("<QI", data[place : place + 12])
        assert head_sum == masked(head), f"checksum of the length at byte {place}"
        body = data[place + 12 : place + 12 + length]
        assert len(body) == length, f"record cut short at byte {place}"
        (body_sum,) = struct.unpack("<I", data[place + 12 + length : place + 16 + length])
        assert body_sum == masked(body), f"checksum of the data at byte {place}"
        yield body
        place += 16 + length


def varint(data, place):
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place


def fields(data):
    """(field number, wire type, value) of a message."""
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = varint(data, place)
        elif kind == 1:
            value, place = data[place : place + 8], place + 8
        elif kind == 2:
            length, place = varint(data, place)
            value, place = data[place : place + length], place + length
            assert len(value) == length, "field cut short"
        elif kind == 5:
            value, place = data[place : place + 4], place + 4
        else:
            raise AssertionError(f"wire type {kind}")
        yield key >> 3, kind, value


def scalar(message):
    found = {}
    for number, kind, value in fields(message):
        if (number, kind) == (1, 2):
            found["tag"] = value.decode()
        elif (number, kind) == (2, 5):
            (found["value"],) = struct.unpack("<f", value)
        else:
            raise AssertionError(f"field {number} of wire type {kind} in Summary.Value")
    return found["tag"], found["value"]


def event(message):
    found = {"step": 0, "scalars": {}}
    for number, kind, value in fields(message):
        if (number, kind) == (1, 1):
            (found["wallTime"],) = struct.unpack("<d", value)
        elif (number, kind) == (2, 0):
            found["step"] = value
        elif (number, kind) == (3, 2):
            found["fileVersion"] = value.decode()
        elif (number, kind) == (5, 2):
            for inner, inner_kind, inner_value in fields(value):
                assert (inner, inner_kind) == (1, 2), f"field {inner} in Summary"
                tag, number_ = scalar(inner_value)
                found["scalars"][tag] = number_
        else:
            raise AssertionError(f"field {number} of wire type {kind} in Event")
    return found


assert crc32c(b"123456789") == 0xE3069283  # the check value of RFC 3720's polynomial
print(json.dumps([[event(body) for body in records(open(path, "rb").read())] for path in sys.argv[1:]]))
