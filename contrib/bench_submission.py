"""Submission through wherryd against the same Postfix without it, part of contrib/bench.

The client is the same for both: sessions in threads that signed in over TLS before the clock starts, each sending messages of
1 MB one after the other. Postfix writes them to its queue and throws them away."""

import base64
import socket
import ssl
import threading
import time

from wharf import mail
from wharf.daemon import Wherryd
from wharf.submission import MailDovecot, Postfix, settings

SIZE = 1000000
DOMAIN = 'far.test'  # swallowed


class Session:
    def __init__(self, place, port, user):
        sock = socket.create_connection(('127.0.0.1', port), timeout=120)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = ssl.create_default_context(cafile=place.ca).wrap_socket(sock, server_hostname='localhost')
        self.data = b''
        self.reply(220)
        self.cmd(b'EHLO bench.test', 250)
        self.cmd(b'AUTH PLAIN ' + base64.b64encode(b'\0%s\0pw' % user.encode()), 235)

    def reply(self, code):
        while True:
            while b'\r\n' not in self.data:
                got = self.sock.recv(65536)
                if not got:
                    raise SystemExit('submission: closed')
                self.data += got
            line, self.data = self.data.split(b'\r\n', 1)
            if line[3:4] != b'-':
                if int(line[:3]) != code:
                    raise SystemExit('submission: %r' % line)
                return

    def cmd(self, line, code):
        self.sock.sendall(line + b'\r\n')
        self.reply(code)

    def message(self, user, body):
        self.sock.sendall(b'MAIL FROM:<%s@%s> SIZE=%d\r\nRCPT TO:<x@%s>\r\nDATA\r\n' % (
            user.encode(), DOMAIN.encode(), len(body), DOMAIN.encode()))
        for code in (250, 250, 354):
            self.reply(code)
        self.sock.sendall(body + b'.\r\n')
        self.reply(250)


def run(place, port, user, count, messages, body):
    """Seconds for `messages` in all over `count` sessions."""
    sessions = [Session(place, port, user) for _ in range(count)]
    go = threading.Barrier(count + 1)

    def work(s):
        go.wait()
        for _ in range(messages // count):
            s.message(user, body)
    threads = [threading.Thread(target=work, args=(s,)) for s in sessions]
    for t in threads:
        t.start()
    go.wait()
    start = time.monotonic()
    for t in threads:
        t.join()
    seconds = time.monotonic() - start
    for s in sessions:
        s.sock.close()
    return seconds


def measure(bench):
    place, total = bench.place, bench.options.submit
    dovecot = MailDovecot(place).start()
    postfix = Postfix(place, dovecot).start()
    d = Wherryd(place, bench.options.bin, bench.old, dovecot,
                submission=lambda folder: settings(place, folder, postfix.service(), tls='implicit'),
                more={'limits': 'max_connections_per_address = 500\n', }).start()
    body = mail.message('bench', SIZE).split(b'\r\n', 1)[1]
    user = 'submit'
    run(place, d.smtps_port, user, 1, 1, body)
    for count in (8, 64):
        speed = {}
        for _ in range(3):
            for side, port in (('direct', postfix.bare_tls_port), ('wherryd', d.smtps_port)):
                s = run(place, port, user, count, total, body)
                speed[side] = max(speed.get(side, 0), total // count * count / s)
        bench.row('submission of 1 MB messages, %d sessions, direct' % count, '%.1f messages/s' % speed['direct'],
                  '%.1f MB/s' % (speed['direct'] * len(body) / 1e6))
        bench.row('submission of 1 MB messages, %d sessions, through wherryd' % count, '%.1f messages/s' % speed['wherryd'],
                  '%.1f MB/s, %.2f of direct (aim: 0.9)' % (speed['wherryd'] * len(body) / 1e6, speed['wherryd'] / speed['direct']))
    bench.row('wherryd, peak of resident memory while mail is submitted', '%.1f MiB' % (d.peak_kib() / 1024))
    d.stop()
    postfix.stop()
    dovecot.stop()
