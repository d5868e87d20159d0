"""One end of a cable between network namespaces: a network card of its own (a TAP device) whose frames cross over a socket.

    cable.py NAME DESCRIPTOR

Frames that arrive over a pair of veth keep the moment at which the sender meant them to leave, and then the kernel gives them no time of arrival: each
listener reads the clock in its turn. Those that arrive here have one, as those of any card have.
"""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
card = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(card, TUNSETIFF, struct.pack("16sH", sys.argv[1].encode(), IFF_TAP | IFF_NO_PI))
other = socket.socket(fileno=int(sys.argv[2]))
while True:
    for ready in select.select([card, other], [], [])[0]:
        if ready == card:
            other.send(os.read(card, 65536))
        else:
            frame = other.recv(65536)
            if not frame:
                sys.exit()
            try:
                os.write(card, frame)
            except OSError:
                pass  # the card is not up yet
