"""An application served by uvicorn in a thread, for tests that ask it as its clients do."""

import threading
import time

import uvicorn


class Server:
    """uvicorn in a thread, on a port that the system chooses."""

    def __init__(self, app):
        self.server = uvicorn.Server(
            uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1)
        )
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self.server.servers[0].sockets[0].getsockname()[1]

    def __exit__(self, *error):
        self.server.should_exit = True
        self.thread.join()
