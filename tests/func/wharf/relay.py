"""A stretch of bad road: passes bytes on to a server, slowly, or breaks off where the test says."""

import select
import selectors
import socket
import threading
import time


class Relay:
    """Listens on `port` and passes connections on to 127.0.0.1:`target`.

    rate: bytes per second towards the server (None: all at once). cut: after that many bytes towards the server, over
    all connections, every connection is reset and cut is None again. record: `records` gets a bytearray for each connection with
    what the server said. cut_down: as cut, of the bytes from the server, whose last ones before it still arrive. held: nothing passes, and
    new connections are taken and hear nothing. It is one thread; stop() ends it."""

    def __init__(self, place, target, rate=None, cut=None, record=False):
        self.target, self.rate, self.cut = target, rate, cut
        self.cut_down, self.held = None, False
        self.records = [] if record else None
        self.record_of = {}
        self.port = place.port()
        self.up = self.down = 0
        self.cuts = 0
        self.listener = socket.create_server(('127.0.0.1', self.port))
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.listener, selectors.EVENT_READ, None)
        self.pairs = {}
        self.ended = False
        place.running.append(self)
        self.place = place
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended:
            if self.held:
                time.sleep(0.02)
                if select.select([self.listener], [], [], 0)[0]:
                    self.accept()
                continue
            for key, _ in self.sel.select(0.05):
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj in self.pairs:
                    self.carry(key.fileobj, *self.pairs[key.fileobj])

    def accept(self):
        a, _ = self.listener.accept()
        try:
            b = socket.create_connection(('127.0.0.1', self.target), timeout=5)
        except OSError:
            a.close()
            return
        for s in (a, b):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(30)
        self.pairs[a], self.pairs[b] = (b, True), (a, False)
        if self.records is not None:
            self.records.append(bytearray())
            self.record_of[b] = self.records[-1]
        self.sel.register(a, selectors.EVENT_READ)
        self.sel.register(b, selectors.EVENT_READ)

    def carry(self, a, b, upward):
        try:
            data = a.recv(min(65536, self.rate // 20) if self.rate and upward else 65536)
        except OSError:
            data = b''
        if data and upward:
            self.up += len(data)
            if self.rate:
                time.sleep(len(data) / self.rate)
            if self.cut is not None and self.up >= self.cut:
                self.cut = None
                self.cuts += 1
                self.reset_all()
                return
        elif data:
            self.down += len(data)
            if self.cut_down is not None and self.down >= self.cut_down:
                keep = len(data) - (self.down - self.cut_down)
                self.cut_down = None
                self.cuts += 1
                try:
                    b.sendall(data[:keep])
                except OSError:
                    pass
                self.close_all()
                return
            if a in self.record_of:
                self.record_of[a] += data
        try:
            if data:
                b.sendall(data)
                return
        except OSError:
            pass
        self.close(a, b)

    def close(self, *socks):
        for s in socks:
            if self.pairs.pop(s, None):
                self.sel.unregister(s)
            self.record_of.pop(s, None)
            s.close()

    def close_all(self):
        for s in list(self.pairs):
            self.close(s)

    def reset_all(self):
        for s in list(self.pairs):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            self.close(s)

    def stop(self):
        self.ended = True
        self.thread.join(5)
        self.reset_all()
        self.listener.close()
        if self in self.place.running:
            self.place.running.remove(self)


class Via:
    """A server as seen through a relay: the daemon's configuration takes its port from here."""

    def __init__(self, server, relay):
        self.server, self.relay = server, relay
        self.port = self.tls_port = relay.port
        self.name = getattr(server, 'name', 'wherryd')
