"""A scripted submission host and a client that sends what it is told."""

import re
import socket
import threading
import time

from peers import WAIT, Gone, Wire

ALL = ('PIPELINING', '8BITMIME', 'SIZE 1000000', 'DSN', 'CHUNKING', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'REQUIRETLS', 'BURL imap',
       'BINARYMIME', 'AUTH PLAIN LOGIN')


class SmtpHost:
    """Answers as a plain host would; a test lays answers over that with on(). reset() forgets them.

    An answer is bytes or a function of (connection, line). seen: all lines of all connections; messages: what was ended;
    halves: what had come of a message when its connection was lost."""

    def __init__(self):
        self.server = socket.create_server(('127.0.0.1', 0))
        self.port = self.server.getsockname()[1]
        self.reset()
        threading.Thread(target=self.accept, daemon=True).start()

    def reset(self, slow=False):
        self.rules, self.seen, self.messages, self.halves = [], [], [], []
        self.ext, self.greeting, self.slow = ALL, b'220 scripted\r\n', slow
        self.crowded = 0  # commands that came before the one before them was answered

    def on(self, pattern, answer):
        self.rules.insert(0, (re.compile(pattern, re.S | re.I), answer))

    def accept(self):
        while True:
            sock, _ = self.server.accept()
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            SmtpServed(self, Wire(sock)).run()
        except (Gone, OSError):
            pass
        finally:
            sock.close()

    def saw(self, pattern, seconds=WAIT):
        end = time.monotonic() + seconds
        while True:
            for line in list(self.seen):
                if re.match(pattern, line, re.S | re.I):
                    return line
            assert time.monotonic() < end, 'not seen: %r among %r' % (pattern, self.seen[-20:])
            time.sleep(0.01)


class SmtpServed:
    def __init__(self, host, wire):
        self.host, self.wire = host, wire

    def send(self, data):
        self.wire.send(data, self.host.slow)

    def close(self):
        """At once and for good: the thread that serves it still holds it."""
        self.wire.sock.shutdown(socket.SHUT_RDWR)
        self.wire.close()
        raise Gone()

    def run(self):
        self.send(self.host.greeting)
        while True:
            line = self.wire.line()
            self.host.seen.append(line)
            self.host.crowded += bool(self.wire.data)
            for pattern, answer in self.host.rules:
                if pattern.match(line):
                    if callable(answer):
                        answer(self, line)
                    else:
                        self.send(answer)
                    break
            else:
                self.usual(line)

    def usual(self, line):
        word = line.split(b' ')[0].upper()
        if word == b'EHLO':
            lines = ('scripted',) + tuple(self.host.ext)
            self.send(b''.join(b'250%s%s\r\n' % (b' ' if i == len(lines) - 1 else b'-', x.encode()) for i, x in enumerate(lines)))
        elif word == b'AUTH':
            self.send(b'235 2.7.0 in\r\n')
        elif word == b'XCLIENT':
            self.send(b'220 again\r\n')
        elif word == b'DATA':
            self.send(b'354 go on\r\n')
            self.message()
            self.send(b'250 2.0.0 Ok: queued as Q%d\r\n' % len(self.host.messages))
        elif word == b'BDAT':
            self.host.messages.append(self.wire.exactly(int(line.split(b' ')[1])))
            self.send(b'250 2.0.0 Ok\r\n')
        elif word == b'QUIT':
            self.send(b'221 bye\r\n')
            raise Gone()
        else:
            self.send(b'250 2.0.0 Ok\r\n')

    def message(self):
        """Reads to the end of DATA, as a host that is strict does."""
        try:
            while not (self.wire.data.startswith(b'.\r\n') or b'\r\n.\r\n' in self.wire.data):
                self.wire.fill()
        except Gone:
            self.host.halves.append(self.wire.data)
            raise
        at = 0 if self.wire.data.startswith(b'.\r\n') else self.wire.data.index(b'\r\n.\r\n') + 2
        self.host.messages.append(self.wire.data[:at])
        self.wire.data = self.wire.data[at + 3:]

    def some(self, n):
        """Reads n bytes of a message."""
        self.wire.exactly(n)


class SmtpClient:
    def __init__(self, port, slow=False):
        self.wire = Wire(socket.create_connection(('127.0.0.1', port), timeout=WAIT))
        self.slow = slow
        self.greeting = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def send(self, data):
        self.wire.send(data, self.slow)

    def reply(self):
        """(code, lines of text)."""
        lines = []
        while True:
            line = self.wire.line()
            assert re.match(rb'\d{3}[ -]', line), line
            lines.append(line[4:])
            if line[3:4] == b' ':
                return int(line[:3]), lines

    def cmd(self, line):
        self.send(line + b'\r\n')
        return self.reply()

    def code(self, line):
        return self.cmd(line)[0]

    def rest(self):
        """All that comes until the server closes."""
        try:
            while True:
                self.wire.fill()
        except Gone:
            return self.wire.data
