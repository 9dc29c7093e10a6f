"""The socket of a server, bound before its model is loaded: a port that is taken is found at once."""

import socket


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Arguments
    ---------
    host : str
        An address of this machine, or a name of one.
    port : int
        0 chooses a free one.

    Raises ValueError if the address is none of this machine, or the port is taken or reserved.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ValueError(
            f"cannot listen at --host {host} --port {port}: {error.strerror or error}; give an address of this machine and a "
            "free port, or --port 0"
        ) from error
    listener.set_inheritable(True)
    return listener
