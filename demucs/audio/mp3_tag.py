"""The first frame of an mp3 file, which tells players how long the music in it is.

An encoder begins with silence and fills the last frame. A player that is told how much of both is
there leaves it out, so that the file is as long as what was encoded and begins where that does.
Reference: the Info tag of LAME (Mp3 Info Tag revision 1).
"""

from demucs.audio.mp3 import Header, read_header

DELAY = 576  # samples of silence that LAME begins with, beside the 529 that every decoder adds
_FRAMES, _BYTES, _PLACES, _QUALITY = 1, 2, 4, 8  # what a tag holds
_MOST = 2**12 - 1  # samples of padding that can be told


def info_frame(first: bytes, frames: int, length: int, samples: int, kbits: int) -> bytes:
    """A frame to put before the others.

    Args:
        first: the header of the first of the others, four bytes.
        frames: how many others there are.
        length: bytes of the others.
        samples: of each channel that were encoded, at the rate of the frames.
        kbits: of the others, kbit/s.
    """
    head, header = tag_header(first)
    padding = min(_MOST, max(0, frames * header.samples - DELAY - samples))
    whole = header.length + length
    tag = b"Info" + (_FRAMES | _BYTES | _PLACES | _QUALITY).to_bytes(4, "big")
    tag += frames.to_bytes(4, "big") + min(whole, 2**32 - 1).to_bytes(4, "big")
    tag += bytes(percent * 256 // 100 for percent in range(100)) + bytes(4)
    tag += b"LAME3.100" + b"\1"  # a constant bitrate
    tag += bytes(10) + bytes([min(kbits, 255)]) + (DELAY << 12 | padding).to_bytes(3, "big")
    tag += bytes(4) + min(whole, 2**32 - 1).to_bytes(4, "big") + bytes(2)
    frame = head + bytes(header.side) + tag
    return (frame + _checksum(frame).to_bytes(2, "big")).ljust(header.length, b"\0")


def tag_header(first: bytes) -> tuple[bytes, Header]:
    """The header of the frame that tells, made from that of another, and what it says."""
    other = read_header(first)
    assert other is not None
    kbits = 9 if other.samples == 1152 else 8  # 128 kbit/s in MPEG 1, 64 in MPEG 2
    head = bytes([first[0], first[1] | 1, kbits << 4 | first[2] & 0x0C, first[3]])
    header = read_header(head)
    assert header is not None
    return head, header


def _checksum(data: bytes) -> int:
    """CRC-16 with the polynomial 0x8005, lowest bit first."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value
