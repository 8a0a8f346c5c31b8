"""FETCH, SEARCH and STORE of a moved mailbox through wherryd, against the new host directly and through nginx's mail proxy.

nginx speaks plain text to the host behind it (1.22 knows nothing else), wherryd was measured both ways. The same dialogue, the
sides in turn, the median of each: what else the machine does would otherwise decide."""

import http.server
import os
import shutil
import statistics
import threading
import time

from wharf import imap
from wharf.daemon import Wherryd
from wharf.place import Process, answers, wait_for

ROUNDS, MOST_ROUNDS, SECONDS = 5, 31, 4  # of each question: so many, and more of them while it took less than this
SERIAL = 400


class Auth(http.server.BaseHTTPRequestHandler):
    """What nginx asks where to pass a session on: always to the same host, with the name and password that came."""

    port = None

    def do_GET(self):
        self.send_response(200)
        for k, v in (('Auth-Status', 'OK'), ('Auth-Server', '127.0.0.1'), ('Auth-Port', str(self.port))):
            self.send_header(k, v)
        self.end_headers()

    def log_message(self, *_):
        pass


class Nginx:
    def __init__(self, place, host):
        self.place, self.name = place, 'nginx'
        d = place.folder('nginx')
        self.tls_port = place.port()
        handler = type('Handler', (Auth,), {'port': host.port})
        self.auth = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        threading.Thread(target=self.auth.serve_forever, daemon=True).start()
        module = '/usr/lib/nginx/modules/ngx_mail_module.so'
        conf = place.write(d + '/nginx.conf', '''%s
daemon off;
worker_processes 1;
pid %s/pid;
error_log %s/log;
events { worker_connections 1024; }
mail {
    server_name localhost;
    auth_http 127.0.0.1:%d/;
    timeout 600s;
    server {
        listen 127.0.0.1:%d ssl;
        protocol imap;
        imap_auth login plain;
        ssl_certificate %s;
        ssl_certificate_key %s;
    }
}
''' % ('load_module %s;' % module if os.path.exists(module) else '', d, d, self.auth.server_port, self.tls_port, place.cert, place.key))
        self.process = Process(place, ['nginx', '-c', conf, '-p', d], d + '/out')
        wait_for(lambda: answers(self.tls_port), 20, 'nginx to listen')

    def connect(self, user, password='pw', tls='implicit'):
        c = imap.Conn('127.0.0.1', self.tls_port, tls, self.place.ca)
        c.login(user, password)
        return c


# ---- what is asked: each takes a connection with the mailbox selected, and returns seconds

def whole(command):
    def ask(b, c):
        return b.pull(c, command)[0]
    return ask


def searches(b, c):
    """Many UIDs in a line, several times."""
    return sum(b.pull(c, b'UID SEARCH ' + key)[0] for key in (b'ALL', b'UID 1:* NOT DELETED', b'OR SEEN UID 1:500', b'UNSEEN'))


def stores(b, c):
    return b.pull(c, b'UID STORE 1:* +FLAGS (bench)')[0] + b.pull(c, b'UID STORE 1:* -FLAGS (bench)')[0]


def serial(b, c):
    """One small command after the other: the time that each takes on its way."""
    start = time.monotonic()
    for n in range(SERIAL):
        b.pull(c, b'FETCH %d (UID FLAGS)' % (n + 1))
    return time.monotonic() - start


ASKED = (('FETCH of bodies', whole(b'FETCH 1:* (UID FLAGS BODY.PEEK[])')), ('UID FETCH 1:* (FLAGS)', whole(b'UID FETCH 1:* (FLAGS)')),
         ('FETCH 1:* (UID RFC822.SIZE INTERNALDATE FLAGS)', whole(b'FETCH 1:* (UID RFC822.SIZE INTERNALDATE FLAGS)')),
         ('FETCH 1:* (UID ENVELOPE)', whole(b'FETCH 1:* (UID ENVELOPE)')),
         ('UID SEARCH, four kinds', searches), ('UID STORE of all, twice', stores), ('small FETCHes in turn', serial))


def plain_twin(b):
    """The same mail in an account of its own, moved by a wherryd that speaks plain text to the new host as nginx does."""
    source, user = b.old.maildir(b.user), 'bench-plain'
    with b.old.connect(user) as c:
        c.select(b'INBOX')
    target = b.old.maildir(user)
    shutil.rmtree(target)
    shutil.copytree(source, target, copy_function=os.link)
    for top, _, files in os.walk(target):
        os.chown(top, os.stat(source).st_uid, os.stat(source).st_gid)
    limits = {'limits': 'max_connections_per_address = 5000\nmax_connections = 6000\n'}
    d = Wherryd(b.place, b.options.bin, b.old, b.new, new_tls='none', more=limits).start()
    with d.connect(user, timeout=900) as c:
        c.select(b'INBOX')
    return d, user


def measure(b):
    nginx = Nginx(b.place, b.new)
    plain, user = plain_twin(b)
    sides = (('direct', b.new, b.user), ('nginx', nginx, b.user), ('wherryd', b.daemon, b.user), ('wherryd, plain behind', plain, user))
    open_ = [(side, host.connect(name, tls='implicit')) for side, host, name in sides]
    for _, c in open_:
        c.select(b'INBOX')
    for what, ask in ASKED:
        took = {side: [] for side, _ in open_}
        start = time.monotonic()
        while len(took['direct']) < ROUNDS or (len(took['direct']) < MOST_ROUNDS and time.monotonic() - start < SECONDS):
            for side, c in open_:
                took[side].append(ask(b, c))
        median = {side: statistics.median(seconds) for side, seconds in took.items()}
        b.row(what + ', direct', '%.1f ms' % (median['direct'] * 1000), 'median of %d' % len(took['direct']))
        b.row(what + ', nginx', '%.2f of direct' % (median['direct'] / median['nginx']))
        for side in ('wherryd', 'wherryd, plain behind'):
            b.row('%s, %s' % (what, side), '%.2f of direct' % (median['direct'] / median[side]),
                  '%.2f of nginx (aims: 0.85 of both)' % (median['nginx'] / median[side]))
    for _, c in open_:
        c.close()
    plain.stop()
    nginx.process.stop()
